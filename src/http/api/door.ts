// Who comes in to the API: people to the management, whoever the registry lets in to what is about content.
import type { FastifyRequest } from 'fastify'
import type { Authenticator, RequestFacts } from '#access/authenticate.ts'
import { type Standing, standingIn } from '#access/management/manage-projects.ts'
import type { Management, Manager } from '#access/management/management.ts'
import { Refusal } from '#access/management/refusal.ts'
import { parseBasic } from '#access/passwords/basic-credentials.ts'
import { ANONYMOUS_IDENTITY, type Identity } from '#access/rights.ts'
import { bearerToken } from '#access/tokens/bearer-token.ts'
import { NotLoggedIn } from '#http/api/problem.ts'
import type { ContentRoute, ManagementRoute, Needs } from '#http/api/route-table.ts'
import { sessionOf } from '#http/auth/browser-request.ts'
import type { Links } from '#http/links.ts'
import type { Access } from '#identity/action.ts'
import type { Principal } from '#identity/principal.ts'
import type { Readable } from '#identity/readable.ts'
import { parseRepositoryName, type RepositoryName } from '#oci/reference.ts'

export interface Doors {
  /** Undefined where the registry has no users. */
  readonly management: Management | undefined
  readonly authenticator: Authenticator
  readonly links: Links
}

/** Somebody who asks about content. */
export interface Visitor {
  readonly readable: () => Promise<Readable>
}

/** Nothing in a refusal tells whether the project is there. @throws NotLoggedIn, Refusal, OciError */
export async function letManage(
  row: ManagementRoute,
  request: FastifyRequest,
  { management, links }: { readonly management: Management; readonly links: Links },
  isKnown: (principal: Principal) => void,
): Promise<Manager> {
  const identity = await identify(request, management, links)
  if (identity) isKnown(identity.principal)
  if (!identity || identity.kind === 'anonymous') throw notLoggedIn()
  if (identity.kind !== 'user' || identity.permissions !== null)
    throw new Refusal('forbidden', 'robots and narrowed keys cannot manage anything: log in as a user')
  const { project } = request.params as Record<string, string>
  if (!(await mayManage(row, management, identity, project))) throw notAllowed()
  return identity
}

/** Nothing in a refusal tells whether the repository is there. @throws NotLoggedIn, Refusal, OciError */
export async function letVisit(
  row: ContentRoute,
  request: FastifyRequest,
  doors: Doors,
  isKnown: (principal: Principal) => void,
): Promise<Visitor> {
  const { management, links } = doors
  const identity = management && (await identify(request, management, links))
  if (!management || !identity) return visitBy(row, request, doors, isKnown)
  isKnown(identity.principal)
  if (!(await mayVisit(row, management, identity, request)))
    throw identity.kind === 'anonymous' ? notLoggedIn() : notAllowed()
  return { readable: () => management.directory.readable(identity) }
}

/** The repository that the address names. @throws OciError NAME_INVALID; Refusal where it names none */
export function repositoryOf(request: FastifyRequest): RepositoryName {
  const { repository } = request.params as Record<string, string>
  if (repository === undefined) throw new Refusal('invalid', 'the address names no repository')
  return parseRepositoryName(repository)
}

/** By a session, or name and password; undefined for who brings a token. @throws NotLoggedIn when they are wrong */
async function identify(
  request: FastifyRequest,
  { directory, sessions }: Management,
  links: Links,
): Promise<Identity | undefined> {
  const { authorization } = request.headers
  if (authorization === undefined) {
    const session = await sessionOf(request.raw, sessions, links)
    return session?.identity ?? ANONYMOUS_IDENTITY
  }
  if (bearerToken(authorization) !== undefined) return undefined
  const credentials = parseBasic(authorization)
  const identity = credentials && (await directory.identityBy(credentials, links.remote(request.raw)))
  if (!identity) throw notLoggedIn()
  return identity
}

async function mayManage(
  { needs, method }: ManagementRoute,
  management: Management,
  manager: Manager,
  project: string | undefined,
): Promise<boolean> {
  const { systemRole } = manager
  return (
    needs === 'person' ||
    (needs === 'founder' && management.directory.projectCreation === 'everyone') ||
    systemRole === 'admin' ||
    (systemRole === 'auditor' && method === 'GET') ||
    (project !== undefined && (ENOUGH[needs] ?? []).includes(await standingIn(management, manager, project)))
  )
}

/** How somebody must stand in a project. */
const ENOUGH: Partial<Record<Needs, readonly Standing[]>> = {
  reader: ['reader', 'member', 'maintainer', 'owner'],
  member: ['member', 'maintainer', 'owner'],
  maintainer: ['maintainer', 'owner'],
  owner: ['owner'],
}

async function mayVisit(
  { needs, method }: ContentRoute,
  { directory }: Management,
  identity: Identity,
  request: FastifyRequest,
): Promise<boolean> {
  // A client that is let in without a login never tries one, and would see less than it may.
  if (needs === 'visitor') return identity.kind !== 'anonymous'
  if (needs === 'overseer' || needs === 'operator') {
    const isWhole = identity.kind === 'user' && identity.permissions === null
    return isWhole && (needs === 'operator' ? identity.systemRole === 'admin' : identity.systemRole !== null)
  }
  // An auditor reads everything.
  if (
    method === 'GET' &&
    identity.kind === 'user' &&
    identity.permissions === null &&
    identity.systemRole !== null
  )
    return true
  return (await directory.rightsIn(identity, repositoryOf(request))).has(needs)
}

/** As at `/v2/`: by a token, or by whatever a registry without users asks for. */
async function visitBy(
  row: ContentRoute,
  request: FastifyRequest,
  { management, authenticator, links }: Doors,
  isKnown: (principal: Principal) => void,
): Promise<Visitor> {
  if (management && (row.needs === 'overseer' || row.needs === 'operator')) throw notLoggedIn()
  const facts: RequestFacts = { ...links.origin(request.raw), remote: links.remote(request.raw) }
  isKnown(await authenticator.authenticate(request.headers, accessTo(row, request), facts))
  return {
    readable: async () => authenticator.listed?.(request.headers, facts) ?? 'everything',
  }
}

function accessTo({ needs }: ContentRoute, request: FastifyRequest): readonly Access[] {
  if (needs === 'visitor' || needs === 'overseer' || needs === 'operator') return [{ type: 'catalog' }]
  return [{ type: 'repository', name: repositoryOf(request), actions: [needs] }]
}

function notLoggedIn(): NotLoggedIn {
  return new NotLoggedIn('send the name and password of a user, or an API key, by Basic authentication')
}

function notAllowed(): Refusal {
  return new Refusal('forbidden', 'you may not do that here')
}
