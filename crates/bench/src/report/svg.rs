//! Pictures: bars for what is compared, lines for what grows. Just enough SVG for both.

use std::fmt;

/// What is drawn.
#[derive(Clone, Debug)]
pub(crate) enum Plot {
    /// Horizontal bars, from 0 on; a group has its name above its first bar.
    Bars {
        /// What is shown, with its unit.
        title: String,
        bars: Vec<Bar>,
    },
    /// Lines over a logarithmic axis.
    Lines {
        /// What is shown.
        title: String,
        /// Of the axis below.
        x: String,
        /// Of the axis at the side.
        y: String,
        lines: Vec<Line>,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) group: String,
    pub(crate) label: String,
    pub(crate) value: f64,
}

#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) label: String,
    pub(crate) points: Vec<(f64, f64)>,
}

impl fmt::Display for Plot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bars { title, bars } => draw_bars(f, title, bars),
            Self::Lines { title, x, y, lines } => draw_lines(f, title, [x, y], lines),
        }
    }
}

/// Where a title is done with.
const TOP: f64 = 48.0;
/// How much a picture shows in, from left to right, without labels.
const ACROSS: f64 = 500.0;
const BAR: f64 = 20.0;
/// What a letter takes, at most on the average.
const LETTER: f64 = 7.2;
/// Told apart by people who see no red or no green, too.
const COLOURS: [&str; 6] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"];
const GREY: &str = "#999";

fn begin(f: &mut fmt::Formatter<'_>, width: f64, height: f64, title: &str) -> fmt::Result {
    writeln!(
        f,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}" font-family="sans-serif" font-size="13">"#
    )?;
    writeln!(f, r#"<rect width="100%" height="100%" fill="white"/>"#)?;
    text(f, (16.0, 26.0), "start", title, r#" font-size="16""#)
}

fn text(f: &mut fmt::Formatter<'_>, (x, y): (f64, f64), anchor: &str, text: &str, more: &str) -> fmt::Result {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    writeln!(f, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}"{more}>{text}</text>"#)
}

fn stroke(f: &mut fmt::Formatter<'_>, from: (f64, f64), to: (f64, f64)) -> fmt::Result {
    let ((x1, y1), (x2, y2)) = (from, to);
    writeln!(f, r##"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="#ddd"/>"##)
}

fn draw_bars(f: &mut fmt::Formatter<'_>, title: &str, bars: &[Bar]) -> fmt::Result {
    // A heading for each group.
    let is_first = |at: usize| at == 0 || bars[at].group != bars[at - 1].group;
    let headings = (0..bars.len()).filter(|at| is_first(*at) && !bars[*at].group.is_empty()).count();
    let height = TOP + BAR * 1.4 * (bars.len() + headings) as f64 + 36.0;
    let labels = labels(bars.iter().map(|bar| bar.label.as_str()));
    let left = width_of(&labels).max(150.0) + 32.0;
    begin(f, left + ACROSS + 70.0, height, title)?;
    let most = bars.iter().map(|bar| bar.value).filter(|value| value.is_finite()).fold(0.0, f64::max);
    let ticks = ticks(most);
    let scale = ACROSS / ticks.last().copied().unwrap_or(1.0);
    for tick in &ticks {
        let x = left + tick * scale;
        stroke(f, (x, TOP), (x, height - 30.0))?;
        text(f, (x, height - 14.0), "middle", &figure(*tick), &format!(r#" fill="{GREY}""#))?;
    }
    // More labels than colours are told apart by their names alone.
    let colours = if labels.len() > COLOURS.len() { &COLOURS[..1] } else { &COLOURS };
    let mut y = TOP;
    for (at, Bar { group, label, value }) in bars.iter().enumerate() {
        if is_first(at) && !group.is_empty() {
            text(f, (16.0, y + BAR * 0.8), "start", group, r#" font-weight="bold""#)?;
            y += BAR * 1.4;
        }
        let colour = colours[labels.iter().position(|known| known == label).unwrap_or_default() % colours.len()];
        let width = if value.is_finite() { value.max(0.0) * scale } else { 0.0 };
        text(f, (left - 8.0, y + BAR * 0.75), "end", label, "")?;
        writeln!(f, r#"<rect x="{left:.1}" y="{y:.1}" width="{width:.1}" height="{BAR}" fill="{colour}"/>"#)?;
        text(f, (left + width + 6.0, y + BAR * 0.75), "start", &figure(*value), "")?;
        y += BAR * 1.4;
    }
    writeln!(f, "</svg>")
}

fn draw_lines(f: &mut fmt::Formatter<'_>, title: &str, [x_name, y_name]: [&str; 2], lines: &[Line]) -> fmt::Result {
    const HEIGHT: f64 = 420.0;
    const BOTTOM: f64 = HEIGHT - 56.0;
    const SIDE: f64 = 80.0;
    const RIGHT: f64 = SIDE + ACROSS;
    let names: Vec<_> = lines.iter().map(|line| line.label.as_str()).collect();
    begin(f, RIGHT + 50.0 + width_of(&names), HEIGHT, title)?;
    let points = || lines.iter().flat_map(|line| &line.points).filter(|(x, y)| *x > 0.0 && y.is_finite());
    let least = points().map(|(x, _)| x.log10()).fold(f64::INFINITY, f64::min);
    let most = points().map(|(x, _)| x.log10()).fold(f64::NEG_INFINITY, f64::max);
    let ticks = ticks(points().map(|(_, y)| *y).fold(0.0, f64::max));
    let top = ticks.last().copied().unwrap_or(1.0);
    // One decade at least, so that a single point has a place.
    let across = |x: f64| SIDE + (x.log10() - least) / (most - least).max(1.0) * ACROSS;
    let up = |y: f64| BOTTOM - y / top * (BOTTOM - TOP - 16.0);
    text(f, (16.0, TOP), "start", y_name, &format!(r#" fill="{GREY}""#))?;
    for tick in &ticks {
        stroke(f, (SIDE, up(*tick)), (RIGHT, up(*tick)))?;
        text(f, (SIDE - 8.0, up(*tick) + 4.0), "end", &figure(*tick), &format!(r#" fill="{GREY}""#))?;
    }
    let mut xs: Vec<_> = points().map(|(x, _)| *x).collect();
    xs.sort_by(f64::total_cmp);
    xs.dedup();
    for x in xs {
        text(f, (across(x), BOTTOM + 20.0), "middle", &figure(x), &format!(r#" fill="{GREY}""#))?;
    }
    text(f, (SIDE + ACROSS / 2.0, BOTTOM + 42.0), "middle", x_name, &format!(r#" fill="{GREY}""#))?;
    for (number, Line { label, points }) in lines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let places: Vec<_> = points.iter().filter(|(x, _)| *x > 0.0).map(|(x, y)| (across(*x), up(*y))).collect();
        let path: Vec<_> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        writeln!(f, r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#, path.join(" "))?;
        for (x, y) in places {
            writeln!(f, r#"<circle cx="{x:.1}" cy="{y:.1}" r="3.5" fill="{colour}"/>"#)?;
        }
        let y = TOP + 20.0 * (number + 1) as f64;
        writeln!(f, r#"<rect x="{:.1}" y="{:.1}" width="12" height="12" fill="{colour}"/>"#, RIGHT + 16.0, y - 11.0)?;
        text(f, (RIGHT + 34.0, y), "start", label, "")?;
    }
    writeln!(f, "</svg>")
}

/// What the longest of some labels takes.
fn width_of(labels: &[&str]) -> f64 {
    labels.iter().map(|label| label.chars().count()).max().unwrap_or_default() as f64 * LETTER
}

/// Each label once, in the order in which they come.
fn labels<'a>(all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    all.fold(Vec::new(), |mut known, label| {
        if !known.contains(&label) {
            known.push(label);
        }
        known
    })
}

/// Round figures from 0 to `most` and a little further.
fn ticks(most: f64) -> Vec<f64> {
    if most <= 0.0 || !most.is_finite() {
        return vec![0.0, 1.0];
    }
    let rough = most / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(power * 10.0);
    (0..=(most / step).ceil() as u32).map(|at| f64::from(at) * step).collect()
}

/// A figure with as many digits as say something.
fn figure(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        1e6.. => format!("{}M", figure(value / 1e6)),
        1e4.. => format!("{}k", figure(value / 1e3)),
        100.0.. => format!("{value:.0}"),
        10.0.. => trimmed(format!("{value:.1}")),
        1.0.. => trimmed(format!("{value:.2}")),
        _ => trimmed(format!("{value:.3}")),
    }
}

fn trimmed(figure: String) -> String {
    if figure.contains('.') { figure.trim_end_matches('0').trim_end_matches('.').to_owned() } else { figure }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_reach_the_largest() {
        assert_eq!(ticks(4.7), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(ticks(30.0).last(), Some(&30.0));
        assert_eq!(ticks(0.0), [0.0, 1.0]);
        assert_eq!(ticks(f64::NAN), [0.0, 1.0]);
    }

    #[test]
    fn figures_have_as_many_digits_as_say_something() {
        let figures = [0.0, 0.1234, 3.3, 12.3, 100.4, 1000.0, 10_000.0, 2_500_000.0].map(figure);
        assert_eq!(figures, ["0", "0.123", "3.3", "12.3", "100", "1000", "10k", "2.5M"]);
    }

    #[test]
    fn bars_are_as_long_as_their_values() {
        let bar = |group: &str, label: &str, value| Bar { group: group.into(), label: label.into(), value };
        let bars = vec![bar("a < b", "borg", 2.0), bar("a < b", "restic", 5.0), bar("c", "borg", f64::NAN)];
        let svg = Plot::Bars { title: "x & y".into(), bars }.to_string();
        assert!(svg.contains("x &amp; y") && svg.matches("a &lt; b").count() == 1, "{svg}");
        assert!(svg.contains(r#"width="200.0""#) && svg.contains(r#"width="500.0""#), "{svg}");
        assert_eq!(svg.matches("<rect x=").count(), 3);
    }

    #[test]
    fn lines_have_a_point_for_each_value() {
        let line = |label: &str, points: &[(f64, f64)]| Line { label: label.into(), points: points.to_vec() };
        let lines = vec![line("wall", &[(1e3, 2.0), (1e4, 2.5), (1e5, 2.4)]), line("CPU", &[(1e3, 3.0)])];
        let svg = Plot::Lines { title: "t".into(), x: "files".into(), y: "µs".into(), lines }.to_string();
        assert_eq!((svg.matches("<circle").count(), svg.matches("<polyline").count()), (4, 2));
        assert!(svg.contains("10k") && !svg.contains("NaN"), "{svg}");
        let nothing = Plot::Lines { title: "t".into(), x: String::new(), y: String::new(), lines: Vec::new() };
        assert!(nothing.to_string().ends_with("</svg>\n"));
    }
}
