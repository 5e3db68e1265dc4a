// `auth.stowage.certificates`: client certificates that log in.
import { listOf, section } from '#lib/settings/node.ts'
import { oneOf, text } from '#lib/settings/values.ts'

export const CERTIFICATES = section(
  'Client certificates of the authorities in `http.tls.clientcas` that speak for users and robots. Only where TLS ends here.',
  {
    rules: listOf(
      'The first one that matches says who it is. Whoever sends a password or token is who that says.',
      section('', {
        from: oneOf(
          'Which name: the common name of the subject, or a DNS name, address of mail or URI of the alternative names. A SPIFFE id is a URI.',
          ['cn', 'dns', 'email', 'uri'],
          { initial: 'cn' },
        ),
        pattern: text('What it must be. `*` stays within a part between slashes, `**` crosses them.', {
          initial: '*',
        }),
        account: text(
          'The user, or the robot (`team+ci`), that it speaks for. `{name}` stands for the name in the certificate.',
        ),
      }),
    ),
  },
)
