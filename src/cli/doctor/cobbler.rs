//! Logins at the Cobblers of the site, by whoever steps would have their secrets from: a running engine, or this command.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::api::client::Trouble;
use crate::api::types::CobblerLogin;
use crate::cli::Ctx;
use crate::cli::connect::{self, Start};
use crate::config::Site;
use crate::domain::doctor::Login;
use crate::engine::doctor::cobbler::login;
use crate::secret::{Means, SiteSecrets, Source};

/// A secret has several sources, and the server its own limit behind them.
const ANSWER: Duration = Duration::from_secs(75);

/// What became of each login; none where the site has no Cobbler.
pub fn logins(ctx: &Ctx, site: &Site) -> BTreeMap<String, Login> {
    if site.cobblers.is_empty() {
        return BTreeMap::new();
    }
    connect::block_on(async { Ok(all(ctx, site).await) }).unwrap_or_default()
}

async fn all(ctx: &Ctx, site: &Site) -> BTreeMap<String, Login> {
    let untried = |why: String| Login::Untried { why };
    let mut client = match connect::connect(ctx, site, Start::Never).await {
        Ok(client) => client,
        // A shared engine that is away is no reason to try with an environment that is not its own.
        Err(e) if site.socket.is_some() => {
            let why = format!("the engine was not asked: {}", e.error.message);
            return site.cobblers.keys().map(|n| (n.clone(), untried(why.clone()))).collect();
        }
        Err(_) => return own(ctx, site).await,
    };
    let mut out = BTreeMap::new();
    for name in site.cobblers.keys() {
        let found = match client.get::<CobblerLogin>(&format!("/v1/cobblers/{name}/login"), ANSWER).await {
            Ok(l) => l.login,
            Err(Trouble::Answer(e)) => untried(e.message),
            Err(Trouble::Lost(why) | Trouble::Silent(why)) => {
                out.insert(name.clone(), untried(why));
                break;
            }
        };
        out.insert(name.clone(), found);
    }
    out
}

async fn own(ctx: &Ctx, site: &Site) -> BTreeMap<String, Login> {
    let tries = site.cobblers.iter().map(|(name, table)| async move {
        let secrets = SiteSecrets::new(site.secrets.clone(), Means::of_process(ctx.uid));
        let wanted = table.secret.clone();
        let password = tokio::task::spawn_blocking(move || secrets.resolve(&wanted).map_err(|e| e.to_string())).await;
        let password = password.unwrap_or_else(|e| Err(e.to_string()));
        (name.clone(), login(name, table, password).await)
    });
    futures_util::future::join_all(tries).await.into_iter().collect()
}
