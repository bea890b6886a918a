/** What is checked before a command is begun: that it is one, that its client may send it, that the server serves. */
import type { Disconnects } from '../http/sockets/disconnects.ts';
import { shownArgument } from './argument.ts';
import { fitsArity, type RespCommandSpec, type RespClient } from './command.ts';
import type { RespCommand } from './reader.ts';
import { refuseCommand, respCodes, RespError } from './resp-error.ts';
import { simple } from './writer.ts';

/**
 * @returns the reply if the command was queued; undefined: it is to be done now
 * @throws RespError; then the transaction that it was meant for does nothing
 */
export function checkCommand(
  args: RespCommand,
  spec: RespCommandSpec | undefined,
  client: RespClient,
): string | undefined {
  const { queue } = client.state;
  try {
    return checkedCommand(args, spec, client);
  } catch (error) {
    if (queue !== undefined && error instanceof RespError) queue.refused = true;
    throw error;
  }
}

function checkedCommand(args: RespCommand, spec: RespCommandSpec | undefined, client: RespClient): string | undefined {
  if (spec === undefined) return refuseCommand(unknownCommand(args));
  if (!fitsArity(spec, args.length)) return refuseCommand(`ERR wrong number of arguments for '${spec.name}' command`);
  const { access, state, subscriptions, writer } = client;
  const { scope } = spec;
  if (scope !== 'none' && access === undefined) return refuseCommand('NOAUTH Authentication required.');
  if (scope !== 'none' && scope !== 'any' && !access!.scopes.has(scope))
    return refuseCommand(`NOPERM '${spec.name}' needs a token with the scope "${scope}"`);
  if (subscriptions.count > 0 && writer.protocol === 2 && spec.subscribed !== true)
    return refuseCommand(
      `ERR Can't execute '${spec.name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context`,
    );
  if (state.queue === undefined || spec.immediate === true) return undefined;
  if (spec.alone === true) return refuseCommand(`ERR '${spec.name}': Command not allowed inside a transaction`);
  return enqueue(args, spec, client);
}

const queued = simple('QUEUED');
/** What a queued command takes besides its arguments, and an argument besides its bytes. */
const commandCost = 64;
const argumentCost = 32;

function enqueue(args: RespCommand, spec: RespCommandSpec, { state, context }: RespClient): string {
  const queue = state.queue!;
  const { batch_operations_max, body_bytes_max } = context.limits;
  let bytes = commandCost;
  for (const argument of args) bytes += argument.length + argumentCost;
  if (queue.commands.length >= batch_operations_max)
    return refuseCommand(
      `ERR a transaction has at most ${batch_operations_max} operations (limits.batch_operations_max)`,
    );
  if (queue.bytes + bytes > body_bytes_max)
    return refuseCommand(`ERR a transaction has at most ${body_bytes_max} bytes (limits.body_bytes_max)`);
  queue.commands.push({ spec, args });
  queue.bytes += bytes;
  return queued;
}

/** Bytes. */
const shownMax = 128;

function unknownCommand(args: RespCommand): string {
  let list = '';
  let left = shownMax;
  for (const argument of args.slice(1)) {
    if (left <= 0) break;
    list += `'${shownArgument(argument, left)}' `;
    left -= argument.length + 3;
  }
  return `ERR unknown command '${shownArgument(args[0])}', with args beginning with: ${list}`;
}

/**
 * Refuses what needs the shards while the server does not serve, what is of another machine, and what is beyond the account's rate or connections.
 * @throws RespError
 */
export function checkService({ context, account }: RespClient, connection: Disconnects): void {
  const { lifecycle, machines, rateLimiter, accounts, limits } = context;
  const elsewhere = machines.refusal(account);
  if (elsewhere !== undefined) refuseCommand(`${respCodes[elsewhere.code]} ${elsewhere.message}`);
  const state = lifecycle.state();
  if (state !== 'serving')
    refuseCommand(
      `LOADING The server is ${state === 'starting' ? 'starting' : 'stopping'}; nothing was done, try again`,
    );
  if (!rateLimiter.admit(account))
    refuseCommand(
      `TRYAGAIN Too many requests of this account; expected at most ${rateLimiter.rateOf(account)} a second`,
    );
  const { account_connections_max: most } = limits;
  if (!connection.belongsTo(account, accounts, most))
    refuseCommand(`TRYAGAIN ${most} connections of this account are open already (limits.account_connections_max)`);
}

/** @throws RespError */
export function checkSize(operations: number, { context }: RespClient): void {
  const { batch_operations_max: most } = context.limits;
  if (operations > most)
    refuseCommand(`ERR ${operations} operations; expected at most ${most} (limits.batch_operations_max)`);
}
