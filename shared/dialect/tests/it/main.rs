//! The codecs together, through their public face.

#[cfg(test)]
mod goldens;
