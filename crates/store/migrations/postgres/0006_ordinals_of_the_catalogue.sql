-- The ordinal of the latest entry that the catalogue ever had of a kind, so that none is used again.
create table catalogue_ordinals (
    -- `Role` or `Entitlement`.
    kind text collate "C" not null,
    latest bigint not null,
    constraint catalogue_ordinals_key primary key (kind)
);

insert into catalogue_ordinals (kind, latest)
select kind, max(ordinal) from catalogue group by kind;
