//! The flags that leave something out of archives. The first pattern that matches counts, so they stay in the order in
//! which they were typed, whichever they are.

use std::ffi::OsString;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command, Error, FromArgMatches};

use super::LEFT_OUT;

/// All that was typed, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct PatternFlags(pub(crate) Vec<PatternFlag>);

/// One flag and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PatternFlag {
    /// Which flag.
    pub(crate) option: PatternOption,
    /// A pattern, or a file of patterns.
    pub(crate) value: OsString,
}

/// The flags, which are borg's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatternOption {
    Exclude,
    ExcludeFrom,
    Pattern,
    PatternsFrom,
}

impl PatternOption {
    const ALL: [Self; 4] = [Self::Exclude, Self::ExcludeFrom, Self::Pattern, Self::PatternsFrom];

    /// The flag, as it is typed.
    pub(crate) fn flag(self) -> &'static str {
        match self {
            Self::Exclude => "--exclude",
            Self::ExcludeFrom => "--exclude-from",
            Self::Pattern => "--pattern",
            Self::PatternsFrom => "--patterns-from",
        }
    }

    fn id(self) -> &'static str {
        &self.flag()[2..]
    }

    fn arg(self) -> Arg {
        let (value_name, help) = match self {
            Self::Exclude => ("PATTERN", "Leaves out what the pattern matches, with all beneath it; repeatable"),
            Self::ExcludeFrom => ("FILE", "Leaves out what the patterns in a file match, one on each line; repeatable"),
            Self::Pattern => ("PATTERN", "Takes (+), leaves out (-), or leaves out with all beneath (!); repeatable"),
            Self::PatternsFrom => ("FILE", "Reads such patterns from a file, and sources (R DIR); repeatable"),
        };
        Arg::new(self.id())
            .long(self.id())
            .value_name(value_name)
            .help(help)
            .help_heading(LEFT_OUT)
            .action(ArgAction::Append)
            .value_parser(ValueParser::os_string())
            .allow_hyphen_values(self == Self::Pattern)
    }
}

impl clap::Args for PatternFlags {
    fn augment_args(command: Command) -> Command {
        command.args(PatternOption::ALL.map(PatternOption::arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for PatternFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut typed = Vec::new();
        for option in PatternOption::ALL {
            let places = matches.indices_of(option.id()).into_iter().flatten();
            let values = matches.get_many::<OsString>(option.id()).into_iter().flatten();
            typed
                .extend(places.zip(values).map(|(place, value)| (place, PatternFlag { option, value: value.clone() })));
        }
        typed.sort_by_key(|(place, _)| *place);
        Ok(Self(typed.into_iter().map(|(_, flag)| flag).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::Args;
    use super::PatternOption::{Exclude, ExcludeFrom, Pattern, PatternsFrom};

    #[test]
    fn flags_of_all_kinds_keep_their_order() {
        let line = ["--pattern", "+ a", "--exclude=b", "--patterns-from", "c", "--exclude-from", "d", "--pattern=-e"];
        let expected = [(Pattern, "+ a"), (Exclude, "b"), (PatternsFrom, "c"), (ExcludeFrom, "d"), (Pattern, "-e")];
        for verb in ["run", "backup"] {
            let args = Args::try_parse_from(["worldkeeper", verb, "--pattern", "- f"].into_iter().chain(line)).unwrap();
            let typed = args.command.patterns().iter().map(|flag| (flag.option, flag.value.to_str().unwrap()));
            assert_eq!(typed.collect::<Vec<_>>(), [[(Pattern, "- f")].as_slice(), &expected].concat());
        }
    }
}
