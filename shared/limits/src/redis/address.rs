//! Where a Redis is: one server, a cluster, or whoever a set of sentinels says it is.

use std::fmt;

use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use url::Url;

/// Where a Redis is, and how to sign in.
#[derive(Clone)]
pub struct RedisAddress {
    /// The servers.
    pub servers: Servers,
    /// The user to sign in as; `None`: the default one.
    pub username: Option<String>,
    /// The password of the servers.
    pub password: Option<SecretString>,
    /// The password of the sentinels.
    pub sentinel_password: Option<SecretString>,
    /// The database number; `None`: 0.
    pub database: Option<u8>,
    /// Whether connections are encrypted.
    pub is_tls: bool,
}

/// Hosts and ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Servers {
    /// One server.
    One((String, u16)),
    /// Some nodes of a cluster; the others are found by them.
    Cluster(Vec<(String, u16)>),
    /// Sentinels, and the name of the master they watch.
    Sentinels {
        /// The sentinels.
        places: Vec<(String, u16)>,
        /// The master's name.
        master: String,
    },
}

/// Why an address was refused. Never shows it: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedisAddressError {
    /// It is no address at all.
    #[error(
        "must be redis:// or rediss://, with a host, possibly a port, and a database number as path; or host:port of several, separated by commas"
    )]
    Form,
    /// Addresses of one list contradict each other.
    #[error("must have the same scheme for all addresses")]
    Mixed,
    /// A cluster has one database.
    #[error("must not have a database number when it is a cluster")]
    ClusterDatabase,
    /// There are too many.
    #[error("must have at most {} addresses", RedisAddress::MOST)]
    TooMany,
}

/// One address of a list.
struct Part {
    place: (String, Option<u16>),
    is_tls: Option<bool>,
    username: Option<String>,
    password: Option<SecretString>,
    database: Option<u8>,
}

impl RedisAddress {
    /// The most addresses of a list.
    pub const MOST: usize = 64;
    const PORT: u16 = 6_379;
    const SENTINEL_PORT: u16 = 26_379;

    /// Reads addresses as the family writes them: one URL is a server, several addresses are a cluster, and with a master's name they
    /// are sentinels. A password in the addresses of sentinels is the sentinels'; `password` is always the servers'.
    ///
    /// # Errors
    /// With the rule that is broken.
    pub fn parse(text: &str, password: Option<SecretString>, master: Option<&str>) -> Result<Self, RedisAddressError> {
        let texts: Vec<&str> = text.split(',').map(str::trim).filter(|text| !text.is_empty()).collect();
        if texts.len() > Self::MOST {
            return Err(RedisAddressError::TooMany);
        }
        let may_be_bare = texts.len() > 1 || master.is_some();
        let parts = texts.iter().map(|text| Part::read(text, may_be_bare)).collect::<Result<Vec<Part>, _>>()?;
        let mut schemes = parts.iter().filter_map(|part| part.is_tls);
        let is_tls = schemes.next().unwrap_or(false);
        if schemes.any(|other| other != is_tls) {
            return Err(RedisAddressError::Mixed);
        }
        let default_port = if master.is_some() { Self::SENTINEL_PORT } else { Self::PORT };
        let (mut username, mut given, mut database, mut places) = (None, None, None, Vec::with_capacity(parts.len()));
        for part in parts {
            places.push((part.place.0, part.place.1.unwrap_or(default_port)));
            username = username.or(part.username);
            given = given.or(part.password);
            database = database.or(part.database);
        }
        if let Some(master) = master {
            let servers = Servers::Sentinels { places, master: master.to_owned() };
            return Ok(Self { servers, username, password, sentinel_password: given, database, is_tls });
        }
        if places.len() > 1 && database.is_some_and(|database| database > 0) {
            return Err(RedisAddressError::ClusterDatabase);
        }
        let servers = if places.len() > 1 {
            database = None;
            Servers::Cluster(places)
        } else {
            Servers::One(places.pop().ok_or(RedisAddressError::Form)?)
        };
        Ok(Self { servers, username, password: given.or(password), sentinel_password: None, database, is_tls })
    }
}

impl Part {
    fn read(text: &str, may_be_bare: bool) -> Result<Self, RedisAddressError> {
        let has_scheme = text.contains("://");
        if !has_scheme && !may_be_bare {
            return Err(RedisAddressError::Form);
        }
        let whole = if has_scheme { text.to_owned() } else { format!("redis://{text}") };
        let url = Url::parse(&whole).map_err(|_| RedisAddressError::Form)?;
        let is_tls = match url.scheme() {
            "redis" => false,
            "rediss" => true,
            _ => return Err(RedisAddressError::Form),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(RedisAddressError::Form)?;
        // a URL writes IPv6 addresses in brackets, a connection does not
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let path = url.path().trim_matches('/');
        let database = if path.is_empty() { None } else { Some(path.parse().map_err(|_| RedisAddressError::Form)?) };
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(String::from).map_err(|_| RedisAddressError::Form);
        Ok(Self {
            place: (host, url.port()),
            is_tls: has_scheme.then_some(is_tls),
            username: Some(url.username()).filter(|name| !name.is_empty()).map(decoded).transpose()?,
            password: url.password().map(decoded).transpose()?.map(SecretString::from),
            database,
        })
    }
}

impl fmt::Debug for RedisAddress {
    /// Without what signs in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisAddress").field("servers", &self.servers).field("is_tls", &self.is_tls).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn parse(text: &str) -> Result<RedisAddress, RedisAddressError> {
        RedisAddress::parse(text, None, None)
    }

    fn place(host: &str, port: u16) -> (String, u16) {
        (host.to_owned(), port)
    }

    fn shown(secret: Option<&SecretString>) -> Option<&str> {
        secret.map(SecretString::expose_secret)
    }

    #[test]
    fn one_url_is_one_server() {
        let address = parse("redis://default:p%40ss@redis:6380/3").unwrap();
        assert_eq!(address.servers, Servers::One(place("redis", 6_380)));
        assert_eq!((address.username.as_deref(), shown(address.password.as_ref())), (Some("default"), Some("p@ss")));
        assert_eq!((address.database, address.is_tls), (Some(3), false));
        assert!(parse("rediss://h").unwrap().is_tls);
        assert_eq!(parse("redis://[2001:db8::1]").unwrap().servers, Servers::One(place("2001:db8::1", 6_379)));
        let apart = RedisAddress::parse("redis://h", Some("apart".into()), None).unwrap();
        assert_eq!(shown(apart.password.as_ref()), Some("apart"));
    }

    #[test]
    fn several_addresses_are_a_cluster() {
        for text in ["redis://:pw@a:1,b:2", "a:1, b:2", "redis://a:1,redis://b:2/0"] {
            let address = parse(text).unwrap();
            assert_eq!(address.servers, Servers::Cluster(vec![place("a", 1), place("b", 2)]), "{text}");
            assert_eq!(address.database, None);
        }
        assert_eq!(parse("a:1,b:2/1").unwrap_err(), RedisAddressError::ClusterDatabase);
        assert_eq!(parse("redis://a,rediss://b").unwrap_err(), RedisAddressError::Mixed);
        assert_eq!(parse(&"a:1,".repeat(65)).unwrap_err(), RedisAddressError::TooMany);
    }

    #[test]
    fn addresses_with_a_masters_name_are_sentinels() {
        let address = RedisAddress::parse("a,b:5", Some("servers".into()), Some("mymaster")).unwrap();
        let places = vec![place("a", 26_379), place("b", 5)];
        assert_eq!(address.servers, Servers::Sentinels { places, master: "mymaster".into() });
        assert_eq!((shown(address.password.as_ref()), shown(address.sentinel_password.as_ref())), (Some("servers"), None));
        let address = RedisAddress::parse("redis://:sentinels@a/2", Some("servers".into()), Some("m")).unwrap();
        assert_eq!(
            (shown(address.password.as_ref()), shown(address.sentinel_password.as_ref())),
            (Some("servers"), Some("sentinels"))
        );
        assert_eq!(address.database, Some(2));
    }

    #[test]
    fn what_is_no_address_is_refused_and_no_password_is_told() {
        for text in [
            "",
            "redis",
            "redis:6379",
            "http://redis:6379",
            "redis://",
            "redis://u:hunter2@h/first",
            "redis://h:99999",
            "redis://h/256",
        ] {
            let refused = parse(text).unwrap_err();
            assert_eq!(refused, RedisAddressError::Form, "{text}");
            assert!(!refused.to_string().contains("hunter2"));
        }
        let address = parse("redis://user:hunter2@h").unwrap();
        assert!(!format!("{address:?}").contains("hunter2"));
    }
}
