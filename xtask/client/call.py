"""Calls a server through the client that was generated of its document.

The server's address is the only argument; the API key comes in on standard input.
"""

import sys

from roster_client import AuthenticatedClient
from roster_client.api.directories import create_directory
from roster_client.api.organizations import (
    create_organization,
    get_organization,
    list_organizations,
)
from roster_client.models import (
    Directory,
    NewDirectory,
    NewDirectoryProvider,
    NewOrganization,
    Organization,
    PageOfOrganization,
    Problem,
)


def main(address: str, key: str) -> None:
    with AuthenticatedClient(base_url=f"{address}/api/v1", token=key) as client:
        new = NewOrganization(name="Acme", external_id="customer-17")
        made = create_organization.sync(client=client, body=new)
        assert isinstance(made, Organization), made
        assert (made.name, made.external_id, made.directory_sync) == ("Acme", "customer-17", True)

        wanted = NewDirectory(name="Okta", provider=NewDirectoryProvider.OKTA)
        directory = create_directory.sync(made.id, client=client, body=wanted)
        assert isinstance(directory, Directory), directory
        assert directory.state.value == "waiting", directory
        assert directory.organization_id == made.id, directory

        page = list_organizations.sync(client=client, external_id="customer-17")
        assert isinstance(page, PageOfOrganization), page
        assert [it.id for it in page.data] == [made.id], page

        taken = create_organization.sync(client=client, body=new)
        assert isinstance(taken, Problem), taken
        assert (taken.status, taken.type_) == (409, "urn:roster:problem:external-id-taken"), taken

        nothing = get_organization.sync("org-01kc2x4n0s00000000000000zz", client=client)
        assert isinstance(nothing, Problem) and nothing.status == 404, nothing


main(sys.argv[1], sys.stdin.read().strip())
