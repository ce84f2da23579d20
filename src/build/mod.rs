//! From a repository to an image.

mod checkout;
mod git;
mod image;
mod remote;
mod shell;
mod source_dir;

pub use git::{Git, GitError, GitOptions, Source};
pub use image::{Build, BuildError, BuildOptions, BuildProgress, BuildSource, BuildStep, image_tag};

#[cfg(test)]
mod tests;
