-- The place of a role among the others: 1 is the highest. One without a rank is below all that have one.
alter table catalogue add column rank bigint;

-- One more with each change of what there is of a kind, so that what was made of it is made anew.
alter table catalogue_ordinals add column version bigint not null default 0;

-- How often it was said who gets which role in a directory; 0 where nobody has said so. Read by whoever
-- writes to the directory, so that where nobody has said so nothing else is asked.
alter table directories add column roles_version bigint not null default 0;

-- Who gets which role in a directory, as JSON; and where everybody is being looked at because of a change,
-- how far that is: up to which place in the order of lists, how many these were, whether everybody is looked
-- at once more, and from which event it follows.
create table role_mappings (
    directory_id text collate "C" not null,
    mapping text collate "C" not null,
    walk_place bigint,
    walk_done bigint not null,
    walk_again bigint not null,
    walk_follows text collate "C",
    constraint role_mappings_key primary key (directory_id),
    constraint role_mappings_directory foreign key (directory_id)
        references directories (directory_id)
);

create index role_mappings_walked on role_mappings (directory_id) where walk_place is not null;

-- The roles that somebody has, each with its reason, as JSON. Who has no row has no role.
create table assignments (
    directory_id text collate "C" not null,
    user_id text collate "C" not null,
    assignment text collate "C" not null,
    constraint assignments_key primary key (directory_id, user_id)
);
