//! Why the settings cannot be used. Always the user's to mend, so each says which setting and what is expected.

use std::path::PathBuf;

use super::Origin;

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// A value has the wrong form.
    #[error("{origin} cannot be {value:?}")]
    Invalid {
        /// Where it was said.
        origin: Origin,
        /// What was said.
        value: String,
        /// What is expected.
        #[source]
        reason: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A value that must be text is not.
    #[error("{origin} is not valid UTF-8")]
    NotText {
        /// Where it was said.
        origin: Origin,
    },
    /// Two variables say different things about one setting.
    #[error("{first} and {second} are both set, to different things")]
    Conflict {
        /// The one that is usually set.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// A variable that says nothing without another one.
    #[error("{given} is set, but not {missing}")]
    Incomplete {
        /// The one that is set.
        given: &'static str,
        /// The one that is not.
        missing: &'static str,
    },
    /// A variable in our name that means nothing.
    #[error("the environment variable {name} is not known; did you mean {nearest}?")]
    UnknownVariable {
        /// Its name.
        name: String,
        /// The known one that is most like it.
        nearest: &'static str,
    },
    /// A variable of a later version.
    #[error("{variable} is set, but {what} is not supported yet")]
    NotSupportedYet {
        /// Its name.
        variable: &'static str,
        /// What it would do.
        what: &'static str,
        /// What there is instead.
        instead: &'static str,
    },
    /// All archives would go.
    #[error("the retention keeps nothing: every archive would be deleted")]
    KeepsNothing,
    /// A name for the series cannot be made.
    #[error("the series has no name")]
    Series(#[source] super::series::SeriesError),
    /// Nobody said where the state directory is.
    #[error("there is no place for the state directory: neither XDG_STATE_HOME nor HOME is set")]
    NoStateDirectory,
    /// The same directory twice.
    #[error("the source {} is named twice", .0.display())]
    SourceTwice(PathBuf),
    /// One of several, without a name of its own.
    #[error("the repository {0} needs a label, as there are several")]
    NoLabel(String),
    /// Two that are called the same.
    #[error("the label {0} is there twice")]
    LabelTwice(String),
    /// Two that are the same.
    #[error("the repository {0} is there twice")]
    RepositoryTwice(String),
    /// One that nobody has set.
    #[error("there is no repository {label}, only {labels}")]
    UnknownLabel {
        /// What was said.
        label: String,
        /// What there is.
        labels: String,
    },
    /// A command works on one, and there are several.
    #[error("there are several repositories: {labels}")]
    WhichRepository {
        /// What they are called.
        labels: String,
    },
    /// A command names one repository and the settings another.
    #[error("{named} was named, but {origin} says {set}")]
    AnotherRepository {
        /// What the command names.
        named: String,
        /// What is set.
        set: String,
        /// Who set it.
        origin: Origin,
    },
}
