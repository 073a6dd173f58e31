//! What can be typed after `config`.

/// Which setting of the repository to look at or to change.
#[derive(Debug, clap::Args)]
pub(crate) struct Config {
    /// append_only (0 or 1), storage_quota, additional_free_space, max_segment_size (sizes, like 20G) or segments_per_dir;
    /// version and id are only shown. All settings if none is named
    // An id of its own: that of `--name` would take the flag's place.
    #[arg(id = "setting", value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// What it is to be; without, it is printed
    // A size may come as -5G, to be refused in words.
    #[arg(allow_hyphen_values = true)]
    pub(crate) value: Option<String>,
    /// Takes the setting back to its default
    #[arg(short = 'd', long, requires = "setting", conflicts_with = "value")]
    pub(crate) delete: bool,
    /// Lists all settings, as without a name
    #[arg(short = 'l', long, conflicts_with = "setting")]
    pub(crate) list: bool,
}
