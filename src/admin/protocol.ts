/** Name of the socket inside `state_dir`. */
export const SOCKET_NAME = 'weir.sock';
/** Name of the token file inside `state_dir/private/`. */
export const TOKEN_NAME = 'admin.token';
/** Header by which the command line says who asks; kept in audit rows. Trusted on the unix socket only. */
export const ACTOR_HEADER = 'x-weir-actor';

/** Why an admin call or the start of the admin server did not work. */
export type AdminErrorCode =
  | 'no-collector'
  | 'no-permission'
  | 'other-collector'
  | 'path-too-long'
  | 'address-in-use'
  | 'bad-request'
  | 'failed';

/** An expected admin failure; the message is a sentence for people. */
export class AdminError extends Error {
  readonly code: AdminErrorCode;
  constructor(code: AdminErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'AdminError';
    this.code = code;
  }
}
