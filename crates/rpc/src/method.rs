//! What a client can ask a server to do, by name.

/// A method of `borg serve`.
///
/// Source: borg 1.4 `remote.py`, `RepositoryServer.rpc_methods`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Says who is who; the first of a session.
    Negotiate,
    /// Opens or creates the one repository of a session.
    Open,
    /// Counts the objects.
    Len,
    /// Reads an object.
    Get,
    /// Writes an object.
    Put,
    /// Deletes an object.
    Delete,
    /// Lists ids in the index's order.
    List,
    /// Lists ids in the order in which the objects lie.
    Scan,
    /// Makes what was written durable and visible.
    Commit,
    /// Forgets what was written since the last commit.
    Rollback,
    /// Checks segments and index.
    Check,
    /// Deletes the repository.
    Destroy,
    /// Stores the key blob.
    SaveKey,
    /// Reads the key blob.
    LoadKey,
    /// Reads the first nonce that nobody has reserved.
    GetFreeNonce,
    /// Reserves nonces.
    CommitNonceReservation,
    /// Removes all locks.
    BreakLock,
    /// Fails in the way that is asked for: how upstream's tests see errors cross the wire.
    InjectException,
}

/// Name, and the arguments that can be given by position, as clients before 1.1 do.
///
/// Source: borg 1.4 `remote.py`, `compatMap`.
const METHODS: [(Method, &str, &[&str]); 18] = [
    (Method::Negotiate, "negotiate", &["client_data"]),
    (Method::Open, "open", &["path", "create", "lock_wait", "lock", "exclusive", "append_only"]),
    (Method::Len, "__len__", &[]),
    (Method::Get, "get", &["id"]),
    (Method::Put, "put", &["id", "data"]),
    (Method::Delete, "delete", &["id"]),
    (Method::List, "list", &["limit", "marker"]),
    (Method::Scan, "scan", &[]),
    (Method::Commit, "commit", &["save_space"]),
    (Method::Rollback, "rollback", &[]),
    (Method::Check, "check", &["repair", "save_space"]),
    (Method::Destroy, "destroy", &[]),
    (Method::SaveKey, "save_key", &["keydata"]),
    (Method::LoadKey, "load_key", &[]),
    (Method::GetFreeNonce, "get_free_nonce", &[]),
    (Method::CommitNonceReservation, "commit_nonce_reservation", &["next_unreserved", "start_nonce"]),
    (Method::BreakLock, "break_lock", &[]),
    (Method::InjectException, "inject_exception", &[]),
];

impl Method {
    /// Borg's name of it.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The method of that name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        METHODS.iter().find(|row| row.1.as_bytes() == name).map(|row| row.0)
    }

    /// The arguments that can be given by position.
    pub(crate) fn positional(self) -> &'static [&'static str] {
        self.row().2
    }

    fn row(self) -> &'static (Self, &'static str, &'static [&'static str]) {
        &METHODS[self as usize]
    }
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_stands_where_its_method_looks_for_it() {
        for (method, name, _) in METHODS {
            assert_eq!(method.name(), name);
            assert_eq!(Method::from_name(name.as_bytes()), Some(method));
        }
        assert_eq!(Method::from_name(b"frobnicate"), None);
    }
}
