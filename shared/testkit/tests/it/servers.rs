//! `services.sh`, when the run promises that the servers are installed.

use sluice_testkit::database::{Engine, TestDatabase};
use sluice_testkit::services::{Addresses, Service, Services};

#[tokio::test]
async fn servers_start_give_databases_and_keep_their_address_through_an_outage() {
    if !Addresses::from_env().all_required {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let services = Services::up(folder.path(), &[Service::Postgres, Service::Mariadb, Service::Redis]);
    assert!(services.addresses.redis().expect("Redis has an address").starts_with("redis://127.0.0.1:"));
    for (engine, service) in [(Engine::Postgres, Service::Postgres), (Engine::Mysql, Service::Mariadb)] {
        let database = TestDatabase::create_at(engine, &services.addresses).await;
        services.stop(service);
        let port: u16 = database.dsn().rsplit_once(':').unwrap().1.split('/').next().unwrap().parse().unwrap();
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "{engine} still listens");
        services.start(service);
        let _again = TestDatabase::create_at(engine, &services.addresses).await;
    }
}
