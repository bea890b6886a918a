/** Who a client is: its token, its account, and how much it may send before it has said so. */
import { accountId, accountPattern, type AccountId } from '../../protocol/ids.ts';
import type { Limits } from '../../shared/limits.ts';
import type { Access, TokenTable } from '../access.ts';
import type { ReaderLimits } from './reader.ts';
import { refuseCommand } from './resp-error.ts';

export const defaultAccount = accountId('default');

const wrongPass = 'WRONGPASS invalid account-token pair, or the account is not one of this token';

/**
 * @param tokens if there are none, whoever can connect may use every account
 * @param name the account; absent, or `default`, which clients send for nobody: that of the token
 * @throws RespError
 */
export function admission(
  tokens: TokenTable,
  name: string | undefined,
  token: string,
): { readonly access: Access; readonly account: AccountId } {
  if (name !== undefined && !accountPattern.test(name)) return refuseCommand(wrongPass);
  const access = tokens.findToken(token);
  if (access === undefined) return refuseCommand(wrongPass);
  if (tokens.isOpen) return { access, account: accountId(name ?? defaultAccount) };
  const { accounts } = access;
  if (name !== undefined && (accounts === '*' || accounts.has(name))) return { access, account: accountId(name) };
  if (name !== undefined && name !== defaultAccount) return refuseCommand(wrongPass);
  const [only, ...others] = accounts === '*' ? [] : accounts;
  if (only === undefined || others.length > 0)
    return refuseCommand('WRONGPASS this token is for several accounts; expected AUTH account token');
  return { access, account: accountId(only) };
}

/** Of a client that has not logged in, as in Redis. */
const strangerLimits: ReaderLimits = { argumentBytesMax: 16 * 1024, argumentsMax: 10, commandBytesMax: 64 * 1024 };
const argumentSlack = 64;

export function readerLimits(limits: Limits, access: Access | undefined): ReaderLimits {
  if (access === undefined) return strangerLimits;
  return {
    argumentBytesMax: limits.value_bytes_max + argumentSlack,
    argumentsMax: 2 * limits.batch_operations_max + 8,
    commandBytesMax: limits.body_bytes_max,
  };
}
