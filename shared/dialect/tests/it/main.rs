//! The codecs together, through their public face.

#[cfg(test)]
mod exchange;
#[cfg(test)]
mod gemini;
#[cfg(test)]
mod goldens;
#[cfg(test)]
mod manner;
#[cfg(test)]
mod responses;
#[cfg(test)]
mod vendor;
