//! Datasets and tables: asked for, created, widened, labelled, removed.

use std::collections::HashMap;

use gcp_bigquery_client::model::clustering::Clustering;
use gcp_bigquery_client::model::dataset::Dataset;
use gcp_bigquery_client::model::field_type::FieldType;
use gcp_bigquery_client::model::table::Table;
use gcp_bigquery_client::model::table_field_schema::TableFieldSchema;
use gcp_bigquery_client::model::table_schema::TableSchema;
use gcp_bigquery_client::model::time_partitioning::TimePartitioning;
use reqwest::header::IF_MATCH;
use serde::{Deserialize, Serialize};

use super::client::{ColdClient, TableRef};
use super::error::{ColdError, ErrorKind};
use super::job::json;
use crate::table::{ColumnKind, TableShape};

/// A table as BigQuery describes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RemoteTable {
    pub labels: HashMap<String, String>,
    etag: Option<String>,
    schema: Schema,
    num_rows: Option<String>,
    time_partitioning: Option<Partitioning>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Schema {
    #[serde(default)]
    fields: Vec<RemoteColumn>,
}

/// A column as BigQuery describes it, for example `flow FLOAT`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RemoteColumn {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub mode: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Partitioning {
    field: Option<String>,
}

impl RemoteTable {
    pub fn columns(&self) -> &[RemoteColumn] {
        &self.schema.fields
    }

    /// By name; BigQuery does not tell upper from lower case.
    pub fn column(&self, name: &str) -> Option<&RemoteColumn> {
        self.columns().iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// The service's own count, 0 if it gives none.
    pub fn rows(&self) -> u64 {
        self.num_rows.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// The column whose days are the partitions.
    pub fn partition_column(&self) -> Option<&str> {
        self.time_partitioning.as_ref()?.field.as_deref()
    }
}

impl RemoteColumn {
    /// The kind this column has of itself; `None` for types that need a conversion.
    pub fn column_kind(&self) -> Option<ColumnKind> {
        match self.mode.as_deref() {
            Some("REPEATED") => None,
            _ => ColumnKind::of_bigquery_type(&self.kind),
        }
    }
}

/// The columns of a load job or a new table. All may be NULL: PostgreSQL has checked what must not be.
pub(crate) fn schema(shape: &TableShape) -> TableSchema {
    let fields = shape.columns().iter().map(|column| {
        let kind = match column.kind {
            ColumnKind::Bool => FieldType::Boolean,
            ColumnKind::Int64 => FieldType::Integer,
            ColumnKind::Float64 => FieldType::Float,
            ColumnKind::Numeric => FieldType::Numeric,
            ColumnKind::Text => FieldType::String,
            ColumnKind::Bytes => FieldType::Bytes,
            ColumnKind::Timestamp => FieldType::Timestamp,
            ColumnKind::Date => FieldType::Date,
        };
        TableFieldSchema::new(&column.name, kind)
    });
    TableSchema::new(fields.collect())
}

impl ColdClient {
    /// Creates the dataset if it is not there.
    pub async fn ensure_dataset(&self, project: &str, dataset: &str) -> Result<(), ColdError> {
        let found = self
            .http
            .send("asking for a dataset", &[404], |http| {
                http.get(self.url(&format!("/projects/{project}/datasets/{dataset}")))
            })
            .await?;
        if found.status.is_success() {
            return Ok(());
        }
        let mut body = Dataset::new(project, dataset);
        body.location = self.config.location.clone();
        self.insert(&format!("/projects/{project}/datasets"), &body, "creating a dataset").await
    }

    /// `None` if there is no such table.
    pub async fn get_table(&self, table: &TableRef) -> Result<Option<RemoteTable>, ColdError> {
        let reply = self.http.send("asking for a table", &[404], |http| http.get(self.url(&table.path()))).await?;
        if reply.status.as_u16() == 404 {
            return Ok(None);
        }
        reply.json().map(Some)
    }

    /// Creates an archive table: partitioned by day on the time column, clustered by key. One that exists is left as
    /// it is.
    pub async fn create_table(
        &self,
        table: &TableRef,
        shape: &TableShape,
        labels: &HashMap<String, String>,
    ) -> Result<(), ColdError> {
        let mut body = Table::new(&table.project, &table.dataset, &table.table, schema(shape));
        body.time_partitioning = Some(TimePartitioning::per_day().field(&shape.time().name));
        body.clustering = Some(Clustering { fields: Some(vec![shape.key().name.clone()]) });
        body.labels = Some(labels.clone());
        let path = format!("/projects/{}/datasets/{}/tables", table.project, table.dataset);
        self.insert(&path, &body, "creating a table").await
    }

    /// Adds the columns of the shape that the table lacks.
    pub async fn add_columns(
        &self,
        table: &TableRef,
        shape: &TableShape,
        remote: &RemoteTable,
    ) -> Result<(), ColdError> {
        let columns = shape.columns().iter();
        for column in columns.filter(|column| remote.column(&column.name).is_none()) {
            let sql = format!(
                "ALTER TABLE {} ADD COLUMN IF NOT EXISTS `{}` {}",
                table.sql(),
                column.name,
                column.kind.sql_type()
            );
            self.run_statement(sql, "add_column").await?;
        }
        Ok(())
    }

    /// Replaces the table's labels, provided that it is still as it was when `remote` was fetched.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when somebody else changed the table meanwhile.
    pub async fn set_labels(
        &self,
        table: &TableRef,
        remote: &RemoteTable,
        labels: &HashMap<String, String>,
    ) -> Result<(), ColdError> {
        let body = to_json(&serde_json::json!({ "labels": labels }))?;
        let _ = self
            .http
            .send("labelling a table", &[], |http| {
                let request = json(http.patch(self.url(&table.path())), body.clone());
                match &remote.etag {
                    Some(etag) => request.header(IF_MATCH, etag),
                    None => request,
                }
            })
            .await?;
        Ok(())
    }

    /// Removes the table; one that is not there is as good.
    pub async fn delete_table(&self, table: &TableRef) -> Result<(), ColdError> {
        let _ = self.http.send("removing a table", &[404], |http| http.delete(self.url(&table.path()))).await?;
        Ok(())
    }

    async fn insert(&self, path: &str, body: &impl Serialize, what: &str) -> Result<(), ColdError> {
        let body = to_json(body)?;
        let sent = self.http.send(what, &[], |http| json(http.post(self.url(path)), body.clone())).await;
        match sent {
            // somebody else was faster, or the reply to our own first try was lost
            Err(error) if error.kind == ErrorKind::Conflict => Ok(()),
            other => other.map(drop),
        }
    }
}

fn to_json(body: &impl Serialize) -> Result<Vec<u8>, ColdError> {
    serde_json::to_vec(body).map_err(|_| ColdError::permanent("the request cannot be written as JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_with_types_of_tomorrow_is_still_read() {
        let table: RemoteTable = serde_json::from_str(
            r#"{"kind":"bigquery#table","numRows":"12","labels":{"a":"b"},"timePartitioning":{"type":"DAY","field":"t"},
                "schema":{"fields":[{"name":"T","type":"TIMESTAMP"},{"name":"r","type":"RANGE","rangeElementType":{"type":"DATE"}},
                {"name":"l","type":"STRING","mode":"REPEATED"}]}}"#,
        )
        .unwrap();
        assert_eq!(table.rows(), 12);
        assert_eq!(table.partition_column(), Some("t"));
        assert_eq!(table.column("t").and_then(RemoteColumn::column_kind), Some(ColumnKind::Timestamp));
        assert_eq!(table.column("r").and_then(RemoteColumn::column_kind), None);
        assert_eq!(table.column("l").and_then(RemoteColumn::column_kind), None);
    }
}
