// What a row of the API is: one place says its path, who may use it, what it takes and what it gives.
import type { z } from 'zod'
import type { Management, Manager, Paging } from '#access/management/management.ts'
import type { Caller } from '#identity/caller.ts'
import type { Readable } from '#identity/readable.ts'
import type { JobQueue } from '#jobs/queue.ts'
import type { RepositoryName } from '#oci/reference.ts'
import type { Figures } from '#registry/overview/figures.ts'
import type { SystemFacts } from '#registry/overview/system.ts'
import type { Registry } from '#registry/registry.ts'

export const PAGE_MAX = 1_000

/**
 * Whom a route of the management lets in: any person who logged in; who may make projects; auditors and admins; admins; who may
 * see a project; its members; its maintainers; its owners. The project is the parameter `project` of the path. An auditor reads
 * everything: whatever a GET needs, it lets him in.
 */
export type Needs = 'person' | 'founder' | 'auditor' | 'admin' | 'reader' | 'member' | 'maintainer' | 'owner'

/**
 * Whom a route about content lets in: whoever logged in, or everybody where there is no login (a list holds what he may pull);
 * who may pull from the repository; who may delete there; auditors and admins, or everybody whom the registry lets in where it
 * has no users; the same without auditors.
 * The repository is the parameter `repository` of the path.
 */
export type ContentNeeds = 'visitor' | 'pull' | 'delete' | 'overseer' | 'operator'

/** What is known of repositories and of the registry as a whole. */
export interface Overview {
  readonly figures: Figures
  readonly system: SystemFacts
}

interface Request<Body, Query> {
  readonly parameters: Readonly<Record<string, string>>
  readonly paging: Paging
  readonly body: Body
  readonly query: Query
}

export interface Call<Body = undefined, Query = undefined> extends Request<Body, Query> {
  readonly management: Management
  readonly manager: Manager
  /** Of If-Match; undefined without one. */
  readonly version: number | undefined
}

export interface ContentCall<Body = undefined, Query = undefined> extends Request<Body, Query> {
  readonly registry: Registry
  readonly jobs: JobQueue
  readonly caller: Caller
  /** What the caller may pull. */
  readonly readable: () => Promise<Readable>
  readonly overview: Overview
  /** Of the path. @throws Refusal invalid where there is none */
  readonly repository: RepositoryName
}

export interface Answer {
  readonly status: 200 | 201 | 204
  readonly body?: unknown
  /** Where a list goes on: what `after` must say. */
  readonly next?: string | undefined
  /** Of what the body shows. */
  readonly version?: number
}

interface Row {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** `/projects/:project/members` */
  readonly path: string
  /** What it does, for the document. */
  readonly about: string
  readonly body?: z.ZodType
  /** Filters and sorts: nothing else can be asked. Each value is text of the address. */
  readonly query?: z.ZodObject
  readonly reply?: z.ZodType
  readonly isList?: boolean
  /** The most that a page of the list has; PAGE_MAX when undefined. */
  readonly pageMax?: number
  /** Heeds If-Match: changes or deletes only the version that it names. */
  readonly isVersioned?: boolean
}

/** Works on users, projects and what belongs to them: there with `auth.stowage` alone. */
export interface ManagementRoute extends Row {
  readonly needs: Needs
  readonly isContent?: undefined
  /** Members of the body whose values the audit log shows; of the others only the names. Never a secret. */
  readonly shownInAudit?: readonly string[]
  readonly handle: (call: Call<never, never>) => Promise<Answer>
}

/** Works on repositories and what is in them: there whatever kind of authentication there is. */
export interface ContentRoute extends Row {
  readonly needs: ContentNeeds
  readonly isContent: true
  readonly handle: (call: ContentCall<never, never>) => Promise<Answer>
}

export type ApiRoute = ManagementRoute | ContentRoute

type Parsed<Schema> = Schema extends z.ZodType ? z.infer<Schema> : undefined

/** Ties the types of body and query to their schemas. */
export function route<
  Body extends z.ZodType | undefined = undefined,
  Query extends z.ZodObject | undefined = undefined,
>(
  row: Omit<ManagementRoute, 'body' | 'query' | 'handle'> & {
    readonly body?: Body
    readonly query?: Query
    readonly handle: (call: Call<Parsed<Body>, Parsed<Query>>) => Promise<Answer>
  },
): ApiRoute {
  return row as unknown as ApiRoute
}

/** The same for a route about content. */
export function contentRoute<
  Body extends z.ZodType | undefined = undefined,
  Query extends z.ZodObject | undefined = undefined,
>(
  row: Omit<ContentRoute, 'isContent' | 'body' | 'query' | 'handle'> & {
    readonly body?: Body
    readonly query?: Query
    readonly handle: (call: ContentCall<Parsed<Body>, Parsed<Query>>) => Promise<Answer>
  },
): ApiRoute {
  return { ...row, isContent: true } as unknown as ApiRoute
}
