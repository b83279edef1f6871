-- What the team has said of the looks of the pages. No row, or one; then it counts on every node, whatever
-- the server was started with.
create table branding (
    one integer not null,
    name text not null,
    accent text not null,
    -- A picture beside the name, in base 64.
    logo text,
    constraint branding_key primary key (one),
    constraint branding_is_one check (one = 1)
) strict, without rowid;
