//! From a repository to an image.

mod checkout;
mod git;
mod image;
mod remote;
mod room;
mod work_dir;

pub use git::{Git, GitError, GitOptions, Source};
pub use image::{Build, BuildError, BuildOptions, BuildProgress, BuildSource, BuildStep, Fetched, image_tag};
pub use room::{DiskLow, check_room, room_for};
pub use work_dir::WorkDir;

#[cfg(test)]
mod tests;
