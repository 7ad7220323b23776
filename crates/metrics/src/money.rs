//! The prices and budgets for model calls.

use std::sync::Arc;

use jiff::Timestamp;
use journeyman_event::Tokens;
use journeyman_event::payload::{Charge, Reserved};
use tokio::sync::watch;

use crate::budget::{Budgets, Held, Refused, Who};
use crate::price::{ModelAt, Prices, Usage};

/// How far the trackers have followed the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Following {
    /// Nobody has asked for metrics yet.
    #[default]
    NotBegun,
    /// The past is being read.
    Behind,
    /// The past was read, and events are processed as they are recorded.
    Current,
    /// The journal could not be read further, for this reason.
    Broken(String),
}

impl Following {
    /// The word in reports.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NotBegun => "not_begun",
            Self::Behind => "behind",
            Self::Current => "current",
            Self::Broken(_) => "broken",
        }
    }
}

/// A model call that is to be made.
#[derive(Clone, Copy, Debug)]
pub struct Planned<'a> {
    /// The model.
    pub at: ModelAt<'a>,
    /// The most tokens that the prompt may have.
    pub prompt: Tokens,
    /// The most tokens that may be generated.
    pub max_tokens: Tokens,
}

/// Prices and budgets. Clones share them.
#[derive(Clone, Debug)]
pub struct Money {
    prices: Arc<Prices>,
    budgets: Budgets,
    following: watch::Receiver<Following>,
}

impl Default for Money {
    /// The default prices, and no budget.
    fn default() -> Self {
        let (_, following) = watch::channel(Following::NotBegun);
        Self::new(Arc::default(), Budgets::new(Vec::new()), following)
    }
}

impl Money {
    pub(crate) fn new(
        prices: Arc<Prices>,
        budgets: Budgets,
        following: watch::Receiver<Following>,
    ) -> Self {
        Self {
            prices,
            budgets,
            following,
        }
    }

    /// The same prices without budgets, for calls that belong to no user's task.
    #[must_use]
    pub fn without_budgets(&self) -> Self {
        Self {
            budgets: Budgets::new(Vec::new()),
            ..self.clone()
        }
    }

    /// Whether a budget applies to these calls.
    pub fn is_limited(&self, who: &Who) -> bool {
        self.budgets.are_about(who)
    }

    /// Reserves the most that a call can cost, if a budget applies to it. Waits until the journal has been read, because
    /// what was spent is not known before. The caller records the reservation with the call's intent and then calls
    /// [`Held::keep`]. `id` names the reservation and must be new. Cancel-safe.
    pub async fn reserve(
        &self,
        who: &Who,
        call: Planned<'_>,
        id: String,
        now: Timestamp,
    ) -> Result<Option<(Held, Reserved)>, Refused> {
        if !self.budgets.are_about(who) {
            return Ok(None);
        }
        let mut following = self.following.clone();
        let known = following
            .wait_for(|following| !matches!(following, Following::NotBegun | Following::Behind));
        let problem = match known.await.as_deref() {
            Ok(Following::Broken(problem)) => Some(problem.clone()),
            Ok(_) => None,
            Err(_) => Some("metrics are no longer counted".to_owned()),
        };
        if let Some(problem) = problem {
            return Err(Refused::Unknown { problem });
        }
        let usage = Usage {
            prompt: call.prompt,
            completion: call.max_tokens,
            ..Usage::default()
        };
        let written = Usage {
            cache_write: call.prompt,
            ..usage
        };
        // Writing to a cache may cost more than a prompt without one.
        let usd = [usage, written].map(|usage| {
            let priced = self.prices.price(call.at, usage, now);
            priced.ok().and_then(|priced| priced.usd)
        });
        let usd = usd.into_iter().flatten().max();
        let held = self
            .budgets
            .reserve(who, call.at.model, usd, id.clone(), now)?;
        let usd = usd.unwrap_or_default();
        Ok(Some((held, Reserved { id, usd })))
    }

    /// The price of a call with this usage at this time. An impossible usage has no price.
    pub fn charge(&self, at: ModelAt<'_>, usage: Usage, when: Timestamp) -> Charge {
        let priced = self.prices.price(at, usage, when).unwrap_or_else(|bad| {
            tracing::warn!(%bad, model = at.model, "the model server's usage cannot be priced");
            crate::price::Priced {
                usd: None,
                source: String::new(),
            }
        });
        Charge {
            model: at.model.to_owned(),
            usd: priced.usd,
            price: priced.source,
        }
    }
}
