// Every route of the management API: the rows of each resource, put together here.
import type { ApiRoute } from '#http/api/route-table.ts'
import { ACCESS_RULE_ROUTES } from '#http/api/routes/access-rules.ts'
import { AUDIT_ROUTES } from '#http/api/routes/audit.ts'
import { FEDERATION_ROUTES } from '#http/api/routes/federation.ts'
import { GROUP_ROUTES } from '#http/api/routes/groups.ts'
import { IDENTITY_ROUTES } from '#http/api/routes/identities.ts'
import { IMMUTABILITY_ROUTES } from '#http/api/routes/immutability.ts'
import { JOB_ROUTES } from '#http/api/routes/jobs.ts'
import { MANIFEST_ROUTES } from '#http/api/routes/manifests.ts'
import { OWN_ROUTES } from '#http/api/routes/me.ts'
import { MEMBER_ROUTES } from '#http/api/routes/members.ts'
import { PROJECT_ROUTES } from '#http/api/routes/projects.ts'
import { QUOTA_ROUTES } from '#http/api/routes/quotas.ts'
import { REPOSITORY_ROUTES } from '#http/api/routes/repositories.ts'
import { RETENTION_ROUTES } from '#http/api/routes/retention.ts'
import { ROBOT_ROUTES } from '#http/api/routes/robots.ts'
import { SESSION_ROUTES } from '#http/api/routes/sessions.ts'
import { SYSTEM_ROUTES } from '#http/api/routes/system.ts'
import { TAG_ROUTES } from '#http/api/routes/tags.ts'
import { UNDELETE_ROUTES } from '#http/api/routes/undelete.ts'
import { USER_ROUTES } from '#http/api/routes/users.ts'
import { WEBHOOK_ROUTES } from '#http/api/routes/webhooks.ts'

export const API_ROUTES: readonly ApiRoute[] = [
  ...OWN_ROUTES,
  ...USER_ROUTES,
  ...GROUP_ROUTES,
  ...PROJECT_ROUTES,
  ...MEMBER_ROUTES,
  ...ROBOT_ROUTES,
  ...FEDERATION_ROUTES,
  ...SESSION_ROUTES,
  ...ACCESS_RULE_ROUTES,
  ...IMMUTABILITY_ROUTES,
  ...RETENTION_ROUTES,
  ...WEBHOOK_ROUTES,
  ...AUDIT_ROUTES,
  ...JOB_ROUTES,
  ...REPOSITORY_ROUTES,
  ...TAG_ROUTES,
  ...MANIFEST_ROUTES,
  ...SYSTEM_ROUTES,
  ...IDENTITY_ROUTES,
  ...QUOTA_ROUTES,
  ...UNDELETE_ROUTES,
]
