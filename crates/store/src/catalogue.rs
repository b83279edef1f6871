//! The roles and entitlements of the vendor's app. There are few, so a list is made in memory: every
//! filter and order that SCIM has, over all of them.

use directory::audit::of_catalogue;
use directory::{CATALOGUE_MAX, CatalogueEntry, CatalogueKind, EntryId, Guarded, Rejection};
use jiff::Timestamp;
use scim::sort::BoundSort;

use crate::audit::Done;
use crate::error::Error;
use crate::list::{Found, ListRequest, Ranked, Seek};
use crate::place::Place;
use crate::session::{Engine, Row, Session, Value, count};

/// What is to be kept of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// Role or entitlement.
    pub kind: CatalogueKind,
    /// Its id.
    pub id: EntryId,
    /// The name to show.
    pub display_name: String,
    /// What it allows.
    pub description: Option<String>,
    /// Of a role, its place among the others.
    pub rank: Option<u16>,
}

fn entry(kind: CatalogueKind, row: &Row<'_>) -> Result<CatalogueEntry, Error> {
    Ok(CatalogueEntry {
        kind,
        id: row.parsed(0)?,
        display_name: row.text(1)?,
        description: row.optional_text(2)?,
        created_at: row.time(3)?,
        modified_at: row.time(4)?,
        rank: match row.optional_number(5)? {
            Some(rank) => Some(u16::try_from(rank).map_err(|_| Error::Corrupt("a rank".into()))?),
            None => None,
        },
    })
}

/// All of a kind with their ordinals, in the order in which they came into the list.
pub(crate) async fn all(
    session: &mut Session,
    kind: CatalogueKind,
) -> Result<Vec<(u64, CatalogueEntry)>, Error> {
    session
        .all(
            "loading the catalogue",
            "select entry_id, display_name, description, created_at, modified_at, rank, ordinal
             from catalogue where kind = $1 order by ordinal",
            &[Value::Text(kind.as_str())],
            |row| Ok((row.last_number()?, entry(kind, row)?)),
        )
        .await
}

/// One by its id.
pub(crate) async fn one(
    session: &mut Session,
    kind: CatalogueKind,
    id: &EntryId,
) -> Result<Option<CatalogueEntry>, Error> {
    session
        .first(
            "loading an entry of the catalogue",
            "select entry_id, display_name, description, created_at, modified_at, rank
             from catalogue where kind = $1 and entry_id = $2",
            &[Value::Text(kind.as_str()), Value::Text(id.as_str())],
            |row| entry(kind, row),
        )
        .await
}

/// Whether there is any of a kind.
pub(crate) async fn is_there(session: &mut Session, kind: CatalogueKind) -> Result<bool, Error> {
    let values = [Value::Text(kind.as_str())];
    let sql = "select 1 from catalogue where kind = $1 limit 1";
    let found = session.first("looking into the catalogue", sql, &values, |_| Ok(())).await?;
    Ok(found.is_some())
}

/// A part of a list of entries.
pub(crate) async fn page(
    session: &mut Session,
    kind: CatalogueKind,
    request: &ListRequest<CatalogueEntry>,
    seek: Seek,
) -> Result<Found<CatalogueEntry>, Error> {
    let sort = request.sort.as_deref();
    let order = sort.map(BoundSort::order).unwrap_or_default();
    let mut matching = Vec::new();
    for (ordinal, entry) in all(session, kind).await? {
        let resource = (request.represent)(&entry);
        if request.filter.as_ref().is_none_or(|filter| filter.matches(&resource)) {
            let key = sort.map(|sort| sort.key(&resource)).unwrap_or_default();
            matching.push((Ranked { place: Place { key, ordinal }, order }, entry));
        }
    }
    matching.sort_by(|(one, _), (other, _)| one.cmp(other));
    let total = matching.len() as u64;
    let skipped = match seek {
        Seek::Skip(skipped) => usize::try_from(skipped).unwrap_or(usize::MAX),
        Seek::After(place) => {
            let after = Ranked { place, order };
            matching.partition_point(|(ranked, _)| *ranked <= after)
        }
    };
    let most = usize::try_from(request.window.count).unwrap_or(usize::MAX);
    let has_more = matching.len().saturating_sub(skipped) > most;
    let items = matching.into_iter().skip(skipped).take(most);
    let items = items.map(|(ranked, entry)| (ranked.place, entry)).collect();
    Ok(Found { total, items, has_more })
}

/// Has nobody else add or change an entry of the kind until the end of the transaction: as many as
/// are counted there are, and what is compared stays as it is. An embedded database has one writer.
async fn lock(session: &mut Session, kind: CatalogueKind) -> Result<(), Error> {
    if session.engine() == Engine::Postgres {
        let sql = "insert into catalogue_ordinals (kind, latest) values ($1, 0)
                   on conflict (kind) do update set latest = catalogue_ordinals.latest";
        session.run("locking the catalogue", sql, &[Value::Text(kind.as_str())]).await?;
    }
    Ok(())
}

/// Keeps an entry. One that is as it was asked for is left alone. Says whether it has its place among
/// the others since.
pub(crate) async fn put(
    session: &mut Session,
    Guarded { precondition, what: new }: &Guarded<NewEntry>,
    at: Timestamp,
) -> Result<Result<(Done, bool), Rejection>, Error> {
    lock(session, new.kind).await?;
    let before = one(session, new.kind, &new.id).await?;
    if let Err(rejection) =
        precondition.check(before.as_ref().map(CatalogueEntry::revision).as_ref())
    {
        return Ok(Err(rejection));
    }
    let is_same = before.as_ref().is_some_and(|before| {
        (&before.display_name, &before.description, before.rank)
            == (&new.display_name, &new.description, new.rank)
    });
    if is_same {
        return Ok(Ok((Done::bookkeeping(0), false)));
    }
    let after = CatalogueEntry {
        kind: new.kind,
        id: new.id.clone(),
        display_name: new.display_name.clone(),
        description: new.description.clone(),
        rank: new.rank,
        created_at: before.as_ref().map_or(at, |before| before.created_at),
        modified_at: at,
    };
    let done = done(before.as_ref(), Some(&after));
    let kind = new.kind.as_str();
    let values = [
        Value::Text(kind),
        Value::Text(new.id.as_str()),
        Value::Text(&new.display_name),
        Value::OptionalText(new.description.as_deref()),
        Value::Time(at),
        new.rank.map_or(Value::OptionalText(None), |rank| Value::Integer(rank.into())),
    ];
    if let Some(before) = before {
        session
            .run(
                "keeping a changed entry of the catalogue",
                "update catalogue
                 set display_name = $3, description = $4, modified_at = $5, rank = $6
                 where kind = $1 and entry_id = $2",
                &values,
            )
            .await?;
        return Ok(Ok((done, before.rank != new.rank)));
    }
    let (entries, highest, latest) = session
        .first(
            "counting the catalogue",
            "select count(*), coalesce(max(ordinal), 0),
                 coalesce((select latest from catalogue_ordinals where kind = $1), 0)
             from catalogue where kind = $1",
            &[Value::Text(kind)],
            |row| Ok((row.number(0)?, row.number(1)?, row.number(2)?)),
        )
        .await?
        .unwrap_or_default();
    if entries >= CATALOGUE_MAX as u64 {
        return Ok(Err(Rejection::CatalogueFull(CATALOGUE_MAX as u64)));
    }
    // Never that of an entry that is gone: a walk behind which it was would not come to the new one.
    // The version before this one does not count, so its entries are asked too.
    let ordinal = count(highest.max(latest) + 1);
    session
        .run(
            "counting a new entry of the catalogue",
            "insert into catalogue_ordinals (kind, latest) values ($1, $2)
             on conflict (kind) do update set latest = excluded.latest",
            &[Value::Text(kind), ordinal],
        )
        .await?;
    let mut values = values.to_vec();
    values.push(ordinal);
    session
        .run(
            "keeping a new entry of the catalogue",
            "insert into catalogue
             (kind, entry_id, ordinal, display_name, description, created_at, modified_at, rank)
             values ($1, $2, $7, $3, $4, $5, $5, $6)",
            &values,
        )
        .await?;
    Ok(Ok((done, true)))
}

/// What the audit log says of it.
fn done(before: Option<&CatalogueEntry>, after: Option<&CatalogueEntry>) -> Done {
    of_catalogue(before, after).map_or_else(|| Done::bookkeeping(0), |entry| Done::told(0, entry))
}

/// Counts a change of what there is of a kind: what was made of it is made anew.
pub(crate) async fn count_change(session: &mut Session, kind: CatalogueKind) -> Result<(), Error> {
    session
        .run(
            "counting a change of the catalogue",
            "insert into catalogue_ordinals (kind, latest, version) values ($1, 0, 1)
             on conflict (kind) do update set version = catalogue_ordinals.version + 1",
            &[Value::Text(kind.as_str())],
        )
        .await?;
    Ok(())
}

/// Takes an entry out. Users who have it keep it: that is what their provider says.
pub(crate) async fn delete(
    session: &mut Session,
    kind: CatalogueKind,
    Guarded { precondition, what: id }: &Guarded<EntryId>,
) -> Result<Result<Done, Rejection>, Error> {
    lock(session, kind).await?;
    let Some(before) = one(session, kind, id).await? else {
        return Ok(Err(Rejection::UnknownEntry(kind)));
    };
    if let Err(rejection) = precondition.check(Some(&before.revision())) {
        return Ok(Err(rejection));
    }
    let deleted = session
        .run(
            "deleting an entry of the catalogue",
            "delete from catalogue where kind = $1 and entry_id = $2",
            &[Value::Text(kind.as_str()), Value::Text(id.as_str())],
        )
        .await?;
    let is_gone = deleted == 1;
    Ok(if is_gone { Ok(done(Some(&before), None)) } else { Err(Rejection::UnknownEntry(kind)) })
}
