//! Decides what to do when and sees it through.
