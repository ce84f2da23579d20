//! From a repository to an image.

mod git;
mod image;

pub use git::{Git, GitError, GitOptions, Source};
pub use image::{Build, BuildError, BuildOptions, BuildProgress, BuildSource, BuildStep, image_tag};
