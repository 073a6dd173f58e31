//! What has to be known of lines that are to be run on the host.

use crate::commands::{BLANK_HOST_PATH, BLANK_IMAGE, RestoreLines};
use crate::secrets;

/// What they do, and what they need.
pub(super) fn explained(lines: &RestoreLines) -> String {
    let mut sentences = vec![
        "stop the game, restore with a container that may write, then start the game again; if not all went well, the game \
         stays stopped until somebody has looked"
            .to_owned(),
    ];
    if !lines.not_known.is_empty() {
        let not_known = lines.not_known.join("; ");
        sentences.push(format!("What is stopped may rest already: {not_known}. Leave out what starts it again, then"));
    }
    let [has_path, has_image] = [BLANK_HOST_PATH, BLANK_IMAGE].map(|blank| lines.text.contains(blank));
    if has_path {
        sentences.push(format!(
            "What begins with {BLANK_HOST_PATH} cannot be told from in here: put the volume's name or the host's directory there \
             that the sidecar's compose file mounts at that path"
        ));
    }
    if has_image {
        sentences.push(format!("For {BLANK_IMAGE} put the name of this image, as `docker ps` shows it"));
    }
    match lines.passphrase {
        Some(secrets::DESCRIPTOR) => sentences.push(format!(
            "Where this is run, {} has to be exported: what {} stands for here does not reach another container",
            secrets::VARIABLE,
            secrets::DESCRIPTOR
        )),
        Some(name) => sentences.push(format!("Where this is run, {name} has to be exported as it is set here")),
        None => {}
    }
    sentences.join(". ") + ":"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, passphrase: Option<&'static str>, not_known: &[&str]) -> String {
        let not_known = not_known.iter().map(|text| (*text).to_owned()).collect();
        explained(&RestoreLines { text: text.to_owned(), passphrase, not_known })
    }

    #[test]
    fn only_what_has_to_be_known_is_said() {
        let plain = said("docker run --volume world:/data worldkeeper restore", None, &[]);
        assert!(plain.starts_with("stop the game, ") && plain.ends_with(" until somebody has looked:"), "{plain}");
        let unknown = said("docker run", None, &["it is not known whether container mc runs (no answer)"]);
        assert!(unknown.ends_with("mc runs (no answer). Leave out what starts it again, then:"), "{unknown}");
    }

    #[test]
    fn blanks_are_explained() {
        let path = said("docker run --volume HOST-PATH-OF-/data:/data worldkeeper", None, &[]);
        assert!(path.contains("HOST-PATH-OF-") && !path.contains("IMAGE-OF"), "{path}");
        let image = said("docker run --volume world:/data IMAGE-OF-WORLDKEEPER", None, &[]);
        assert!(image.contains("IMAGE-OF-WORLDKEEPER") && !image.contains("HOST-PATH"), "{image}");
    }

    #[test]
    fn whoever_has_the_passphrase_elsewhere_is_told_to_export_it() {
        for name in ["BORG_PASSPHRASE", "BORG_PASSCOMMAND"] {
            let text = said("docker run", Some(name), &[]);
            assert!(text.contains(&format!("{name} has to be exported as it is set here")), "{text}");
        }
        let text = said("docker run", Some("BORG_PASSPHRASE_FD"), &[]);
        assert!(text.contains("BORG_PASSPHRASE has to be exported: "), "{text}");
    }
}
