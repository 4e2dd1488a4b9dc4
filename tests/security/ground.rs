//! A database with both halves on a server of its own, and a login for each role: roles belong to the cluster, and others make
//! logins too.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use system_tests::{Database, Result, Schema, World};

/// A login that is a member of nothing: what everybody may.
pub(crate) const STRANGER: &str = "public";

/// The roles of the product, and the stranger.
pub(crate) const ROLES: [&str; 9] = [
    "producer",
    "reader",
    "subscriber",
    "relay",
    "consumer",
    "observer",
    "operator",
    "maintainer",
    STRANGER,
];

/// The ground that the tests of this folder stand on.
pub(crate) struct Ground {
    pub(crate) database: Database,
    _world: World,
}

impl Ground {
    pub(crate) async fn new() -> Result<Self> {
        let world = World::with_own_servers(Default::default(), Default::default()).await?;
        let database = world.another_database(Schema::Both).await?;
        let mut administrator = database.connect().await?;
        for role in ROLES {
            let statement = if role == STRANGER {
                format!("create role {} login", login(role))
            } else {
                format!("create role {} login in role outbox_{role}", login(role))
            };
            administrator.execute(AssertSqlSafe(statement)).await?;
        }
        Ok(Self {
            database,
            _world: world,
        })
    }

    pub(crate) async fn administrator(&self) -> Result<PgConnection> {
        self.database.connect().await
    }

    /// Connected as the login of a role.
    pub(crate) async fn connect(&self, role: &str) -> Result<PgConnection> {
        let as_login = format!("//{}@", login(role));
        let url = self.database.url().replacen("//postgres@", &as_login, 1);
        Ok(PgConnection::connect(&url).await?)
    }
}

/// The name of a role's login.
pub(crate) fn login(role: &str) -> String {
    format!("login_{role}")
}
