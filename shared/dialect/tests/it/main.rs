//! The codecs together, through their public face.

#[cfg(test)]
mod cuts;
#[cfg(test)]
mod exchange;
#[cfg(test)]
mod gemini;
#[cfg(test)]
mod goldens;
#[cfg(test)]
mod manner;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod rendered;
#[cfg(test)]
mod responses;
#[cfg(test)]
mod streams_only;
#[cfg(test)]
mod usage;
#[cfg(test)]
mod vendor;
