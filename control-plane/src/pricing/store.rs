//! The SQL of prices and of what rates were.

use sea_orm::sea_query::{Expr, ExprTrait, Func, LockType, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use sluice_billing::ModelPrice;
use sluice_domain::{ModelName, UnixMillis};

use super::{PastPrice, Price, PriceFilter, Source};
use crate::db::{Tx, contains, limits_text, read_limits};
use crate::http::{ApiError, Code, Listing, Page, unique_violation};
use crate::publish::log::RateKind;

pub(super) async fn find(db: &impl ConnectionTrait, model: &str) -> Result<Option<Price>, DbErr> {
    let one = select().and_where(Expr::col("model").eq(model)).to_owned();
    db.query_one(&one).await?.as_ref().map(read).transpose()
}

pub(super) async fn lock(tx: &Tx, model: &str) -> Result<Option<Price>, DbErr> {
    let one = select().and_where(Expr::col("model").eq(model)).lock(LockType::Update).to_owned();
    tx.query_one(&one).await?.as_ref().map(read).transpose()
}

pub(super) async fn list(db: &impl ConnectionTrait, filter: &PriceFilter, listing: &Listing) -> Result<Page<Price>, DbErr> {
    let mut some = select();
    if let Some(text) = filter.text.as_deref().filter(|text| !text.is_empty()) {
        some.and_where(contains(Func::lower(Expr::col("model")), &text.to_lowercase()));
    }
    some.and_where_option(filter.source.map(|source| Expr::col("source").eq(source.as_str())));
    let marks = |price: &Price, word: &str| {
        let value = match word {
            "updated_at" => price.updated_at.0.into(),
            _ => price.model.as_str().into(),
        };
        (value, price.model.as_str().into())
    };
    listing.read(db, some, read, marks).await
}

/// Every price's figures, by model. There are a few thousand at most.
pub(super) async fn all(db: &impl ConnectionTrait) -> Result<Vec<(ModelName, ModelPrice)>, DbErr> {
    db.query_all(&select()).await?.iter().map(read).map(|price| price.map(|price| (price.model, price.figures))).collect()
}

pub(super) async fn insert(tx: &Tx, price: &Price) -> Result<(), ApiError> {
    let columns = ["model", "body", "limits", "source", "rev", "created_at", "updated_at"];
    let mut insert = Query::insert().into_table("prices").columns(columns).to_owned();
    insert.values_panic([
        price.model.as_str().into(),
        body(price)?.into(),
        limits_text(&price.limits)?.into(),
        price.source.as_str().into(),
        price.rev.into(),
        price.created_at.0.into(),
        price.updated_at.0.into(),
    ]);
    tx.execute(&insert).await.map(drop).map_err(|error| match unique_violation(&error) {
        Some(_) => ApiError::new(Code::NameTaken, "this model has a price; change it instead"),
        None => error.into(),
    })
}

pub(super) async fn update(tx: &Tx, price: &Price) -> Result<(), ApiError> {
    let update = Query::update()
        .table("prices")
        .value("body", body(price)?)
        .value("limits", limits_text(&price.limits)?)
        .value("source", price.source.as_str())
        .value("rev", price.rev)
        .value("updated_at", price.updated_at.0)
        .and_where(Expr::col("model").eq(price.model.as_str()))
        .to_owned();
    tx.execute(&update).await?;
    Ok(())
}

pub(super) async fn delete(tx: &Tx, model: &ModelName) -> Result<(), DbErr> {
    let delete = Query::delete().from_table("prices").and_where(Expr::col("model").eq(model.as_str())).to_owned();
    tx.execute(&delete).await.map(drop)
}

pub(super) async fn history(db: &impl ConnectionTrait, model: &str, listing: &Listing) -> Result<Page<PastPrice>, DbErr> {
    let of_model = Query::select()
        .columns(["seq", "at", "body"])
        .from("rate_history")
        .and_where(Expr::col("kind").eq(RateKind::Price.as_str()))
        .and_where(Expr::col("name").eq(model))
        .to_owned();
    let read = |row: &QueryResult| {
        let body: Option<String> = row.try_get("", "body")?;
        let figures = body.as_deref().map(serde_json::from_str).transpose();
        Ok(PastPrice {
            seq: row.try_get("", "seq")?,
            at: UnixMillis(row.try_get("", "at")?),
            figures: figures.map_err(|_| broken("history"))?,
        })
    };
    listing.read(db, of_model, read, |past, _| (past.seq.into(), past.seq.into())).await
}

fn body(price: &Price) -> Result<String, ApiError> {
    serde_json::to_string(&price.figures).map_err(ApiError::internal)
}

fn select() -> SelectStatement {
    Query::select().columns(["model", "body", "limits", "source", "rev", "created_at", "updated_at"]).from("prices").to_owned()
}

fn read(row: &QueryResult) -> Result<Price, DbErr> {
    let (model, body, source): (String, String, String) =
        (row.try_get("", "model")?, row.try_get("", "body")?, row.try_get("", "source")?);
    Ok(Price {
        model: ModelName::parse(&model).map_err(|_| broken("name"))?,
        figures: serde_json::from_str::<ModelPrice>(&body).map_err(|_| broken("body"))?,
        limits: read_limits(row)?,
        source: Source::from_word(&source),
        rev: row.try_get("", "rev")?,
        created_at: UnixMillis(row.try_get("", "created_at")?),
        updated_at: UnixMillis(row.try_get("", "updated_at")?),
    })
}

fn broken(what: &str) -> DbErr {
    DbErr::Type(format!("a price has an unreadable {what}"))
}
