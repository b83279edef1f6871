-- The account of a member at the provider by which the team signs in: which provider, and who there. It
-- is known from when they first sign in by it.
alter table members add column oidc_issuer text collate "C";
alter table members add column oidc_subject text collate "C";

-- Who may sign in with a password where others have to by the provider: whoever was invited from where
-- the server runs. Of a team that is there already, that is the owner who joined first.
alter table members add column keeps_password bigint not null default 0;
update members set keeps_password = 1
where role = 'owner' and joined_at = (select min(joined_at) from members where role = 'owner');

-- That an account is one member's is seen to where it is kept: programs that know nothing of it keep none.
create index members_by_account on members (oidc_issuer, oidc_subject)
where oidc_subject is not null;

-- What is so of all members. No row, or one.
create table team (
    one bigint not null,
    -- Whether they have to sign in by the provider.
    provider_required bigint not null,
    constraint team_key primary key (one),
    constraint team_is_one check (one = 1)
);
