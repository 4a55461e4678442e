//! One redb database that can be reopened while others use it.
