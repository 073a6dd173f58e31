//! Borg's compression headers and algorithms.
