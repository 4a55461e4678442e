//! Wiring and supervision: what turns settings into guarded roots and a
//! registry of jobs, for the resident agent and for a command that works alone.

pub mod jobs;
pub mod roots;
