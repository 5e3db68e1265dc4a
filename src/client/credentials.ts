// Who we are for a registry. Where credentials come from is the business of credential-store.ts.

export type Credentials =
  | { readonly kind: 'password'; readonly username: string; readonly password: string }
  /** A refresh token of the registry's token service, docker's `identitytoken`. */
  | { readonly kind: 'identity-token'; readonly token: string }
  /** A bearer token that is sent as it is, docker's `registrytoken`. */
  | { readonly kind: 'registry-token'; readonly token: string }
