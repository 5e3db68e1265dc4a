/** The provider did not let somebody in, or said what cannot be believed. The message is for whoever came; the cause for the log. */
export class LoginRefused extends Error {
  override readonly name = 'LoginRefused'
}
