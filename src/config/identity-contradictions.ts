// What of `auth.stowage` cannot be used as it is written: providers of accounts without what they need.
import type { Remark } from '#lib/settings/read.ts'
import type { Config } from './schema.ts'

type Stowage = NonNullable<Config['auth']['stowage']>

export function identityContradictions(stowage: Stowage): Remark[] {
  return [
    ...oidcFaults(stowage),
    ...ldapFaults(stowage),
    ...federationFaults(stowage),
    ...certificateFaults(stowage),
  ]
}

function certificateFaults({ certificates: { rules } }: Stowage): Remark[] {
  return rules.flatMap(({ account }, n) =>
    missing(`auth.stowage.certificates.rules[${n}]`, [
      ['account', account, 'name the user or robot that it speaks for'],
    ]),
  )
}

function ldapFaults({ ldap, oidc }: Stowage): Remark[] {
  if (!ldap) return []
  const at = 'auth.stowage.ldap'
  const isClear = ldap.url?.toLowerCase().startsWith('ldap:') === true && !ldap.starttls && !ldap.plain
  const noName = !ldap.userfilter.includes('{name}')
  return [
    ...missing(at, [
      ['url', ldap.url, 'say where the directory is'],
      ['userbase', ldap.userbase, 'say where people are in it'],
    ]),
    ...(isClear
      ? [{ path: `${at}.url`, text: 'would send passwords as they are: write ldaps://, or set starttls' }]
      : []),
    ...(noName
      ? [{ path: `${at}.userfilter`, text: 'would find the same for everybody: it needs {name}' }]
      : []),
    ...(ldap.binddn === ''
      ? []
      : secretFaults(`${at}.bindpassword`, ldap.bindpassword, ldap.bindpasswordfile)),
    ...(oidc.some(({ name }) => name === ldap.name)
      ? [{ path: `${at}.name`, text: 'is the name of an OpenID provider too: choose another one' }]
      : []),
  ]
}

function federationFaults({ federation: { issuers, rules } }: Stowage): Remark[] {
  const at = 'auth.stowage.federation'
  return [
    ...issuers.flatMap(({ name, issuer, audience }, n) =>
      missing(`${at}.issuers[${n}]`, [
        ['name', name, 'give it a short name for rules'],
        ['issuer', issuer, 'name its URL'],
        ['audience', audience, 'name what its tokens must be for, or tokens for others would be good here'],
      ]),
    ),
    ...rules.flatMap(({ robot, issuer }, n) =>
      missing(`${at}.rules[${n}]`, [
        ['robot', robot, 'name the robot, as in team+ci'],
        ['issuer', issuer, 'name one of the issuers'],
      ]),
    ),
  ]
}

function oidcFaults({ oidc }: Stowage): Remark[] {
  return oidc.flatMap((provider, n) => {
    const at = `auth.stowage.oidc[${n}]`
    const found = missing(at, [
      ['name', provider.name, 'give it a short name for its addresses'],
      ['issuer', provider.issuer, 'name the URL of the provider'],
      ['clientid', provider.clientid, 'name what the provider calls this registry'],
    ])
    if (oidc.findIndex(({ name }) => name === provider.name) < n)
      found.push({ path: `${at}.name`, text: 'stands twice: give each provider a name of its own' })
    return [...found, ...secretFaults(`${at}.clientsecret`, provider.clientsecret, provider.clientsecretfile)]
  })
}

/** @param needed key, what is written there, and what to do when there is nothing */
function missing(at: string, needed: readonly (readonly [string, string | undefined, string])[]): Remark[] {
  return needed
    .filter(([, value]) => !value)
    .map(([key, , what]) => ({ path: `${at}.${key}`, text: `is missing: ${what}` }))
}

function secretFaults(path: string, value: string | undefined, file: string | undefined): Remark[] {
  if (value !== undefined && file !== undefined)
    return [{ path, text: `stands beside ${path.replace(/^.*\./, '')}file: keep one of them` }]
  return value || file !== undefined ? [] : [{ path, text: 'is missing: write it, or name its file' }]
}
