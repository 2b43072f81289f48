//! Tests of billing through its public face: the worked examples of the specification and the properties of price and leases.

#[cfg(test)]
mod lease_properties;
#[cfg(test)]
mod price_properties;
#[cfg(test)]
mod vectors;
