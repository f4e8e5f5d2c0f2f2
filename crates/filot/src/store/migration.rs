//! The schema, step by step. A released step never changes; a new one is added behind it.

use sea_orm_migration::prelude::*;

mod columns;
mod m0001_initial;
mod m0002_reviews;
mod m0003_desk;
mod m0004_retake;
mod m0005_installation;
mod m0006_shares;
mod m0007_sign_in;
mod m0008_people;
mod m0009_upkeep;
mod m0010_key_check;

/// All steps in order.
pub(super) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_initial::Migration),
            Box::new(m0002_reviews::Migration),
            Box::new(m0003_desk::Migration),
            Box::new(m0004_retake::Migration),
            Box::new(m0005_installation::Migration),
            Box::new(m0006_shares::Migration),
            Box::new(m0007_sign_in::Migration),
            Box::new(m0008_people::Migration),
            Box::new(m0009_upkeep::Migration),
            Box::new(m0010_key_check::Migration),
        ]
    }
}
