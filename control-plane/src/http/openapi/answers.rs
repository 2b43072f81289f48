//! Makes the description of answers exact.
//!
//! A field of an answer that may be `null` is always there all the same, and one that may be missing is never `null`. So in what only
//! answers are made of, every field that may be `null` is required. Requests may leave such fields out.

use std::collections::BTreeSet;

use serde_json::Value;
use utoipa::openapi::schema::{Object, Schema, SchemaType, Type};
use utoipa::openapi::{OpenApi, RefOr};

const COMPONENT: &str = "#/components/schemas/";

/// Names the fields that answers always have.
pub(super) fn complete(openapi: &mut OpenApi) {
    let asked = schemas_of_requests(&serde_json::to_value(&*openapi).unwrap_or_default());
    let Some(components) = &mut openapi.components else { return };
    for (name, schema) in &mut components.schemas {
        if !asked.contains(name) {
            complete_schema(schema);
        }
    }
}

/// The schemas that bodies and parameters of requests are made of.
fn schemas_of_requests(description: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let operations = description["paths"].as_object().into_iter().flat_map(|paths| paths.values().filter_map(Value::as_object));
    let mut open: Vec<&Value> = operations
        .flat_map(|methods| methods.values())
        .flat_map(|method| [&method["requestBody"], &method["parameters"]])
        .collect();
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => open.extend(fields.values()),
            Value::String(text) => {
                let name = text.strip_prefix(COMPONENT);
                if let Some(name) = name.filter(|name| found.insert((*name).to_owned())) {
                    open.push(&description["components"]["schemas"][name]);
                }
            }
            _ => {}
        }
    }
    found
}

fn complete_schema(schema: &mut RefOr<Schema>) {
    match schema {
        RefOr::T(Schema::Object(object)) => complete_object(object),
        RefOr::T(Schema::AllOf(all)) => all.items.iter_mut().for_each(complete_schema),
        RefOr::T(Schema::OneOf(one)) => one.items.iter_mut().for_each(complete_schema),
        RefOr::T(Schema::Array(array)) => {
            if let utoipa::openapi::schema::ArrayItems::RefOrSchema(items) = &mut array.items {
                complete_schema(items);
            }
        }
        _ => {}
    }
}

fn complete_object(object: &mut Object) {
    for (name, property) in &mut object.properties {
        if may_be_null(property) && !object.required.contains(name) {
            object.required.push(name.clone());
        }
        complete_schema(property);
    }
}

fn may_be_null(schema: &RefOr<Schema>) -> bool {
    match schema {
        RefOr::T(Schema::Object(object)) => has_null(&object.schema_type),
        RefOr::T(Schema::Array(array)) => has_null(&array.schema_type),
        RefOr::T(Schema::OneOf(one)) => one.items.iter().any(may_be_null),
        _ => false,
    }
}

fn has_null(schema_type: &SchemaType) -> bool {
    match schema_type {
        SchemaType::Type(one) => *one == Type::Null,
        SchemaType::Array(several) => several.contains(&Type::Null),
        SchemaType::AnyValue => false,
    }
}
