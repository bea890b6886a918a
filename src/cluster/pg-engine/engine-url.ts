/**
 * Where the engine is, as libpq writes it for several hosts: `postgres://user:password@a:5432,b:5432/database?sslmode=…`.
 * A host that begins with `/` (in the query: `host=/run/postgresql`) is the folder of a socket.
 */
import { readFileSync } from 'node:fs';

export interface EngineHost {
  readonly host: string;
  readonly port: number;
}

export interface EngineAddress {
  /** One of them is the primary at a time. */
  readonly hosts: readonly EngineHost[];
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly database: string | undefined;
  readonly ssl: false | { readonly rejectUnauthorized: true; readonly ca?: string };
}

const shape = /^postgres(?:ql)?:\/\/(?:([^@/]*)@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/;
const hostShape = /^(\[[0-9a-fA-F:.]+\]|[^:]*)(?::(\d{1,5}))?$/;
const known: ReadonlySet<string> = new Set(['host', 'port', 'sslmode', 'sslrootcert']);

/** @throws Error that says what is wrong, without the password */
export function parseEngineUrl(text: string): EngineAddress {
  const parts = shape.exec(text);
  if (parts === null)
    throw new Error('The engine is given as postgres://user:password@host:5432,host:5432/database?sslmode=verify-full');
  const [, credentials = '', places = '', database = '', query = ''] = parts;
  const [user, password] = split(credentials);
  const parameters = new URLSearchParams(query);
  for (const name of parameters.keys()) {
    if (!known.has(name))
      throw new Error(`The engine's URL has a parameter ${name}; expected only ${[...known].join(', ')}`);
  }
  const written = [...places.split(','), ...(parameters.get('host') ?? '').split(',')].filter((place) => place !== '');
  const port = portOf(parameters.get('port') ?? '5432');
  const hosts = written.map((place) => hostOf(decodeURIComponent(place), port));
  if (hosts.length === 0) throw new Error("The engine's URL names no host");
  return {
    hosts,
    user: user === '' ? undefined : decodeURIComponent(user),
    password: password === undefined ? undefined : decodeURIComponent(password),
    database: database === '' ? undefined : decodeURIComponent(database),
    ssl: sslOf(parameters, hosts),
  };
}

function split(credentials: string): [string, string | undefined] {
  const colon = credentials.indexOf(':');
  return colon < 0 ? [credentials, undefined] : [credentials.slice(0, colon), credentials.slice(colon + 1)];
}

function hostOf(place: string, port: number): EngineHost {
  if (place.startsWith('/')) return { host: place, port };
  const parts = hostShape.exec(place);
  if (parts === null || parts[1] === '') throw new Error(`The engine's URL has a host ${place}; expected host:port`);
  return { host: parts[1]!.replace(/^\[|\]$/g, ''), port: parts[2] === undefined ? port : portOf(parts[2]) };
}

function portOf(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new Error(`The engine's URL has a port ${text}; expected 1 to 65535`);
  return port;
}

function sslOf(parameters: URLSearchParams, hosts: readonly EngineHost[]): EngineAddress['ssl'] {
  const isHere = hosts.every(({ host }) => host.startsWith('/') || /^(127\.|localhost$|::1$)/.test(host));
  const mode = parameters.get('sslmode') ?? (isHere ? 'disable' : 'verify-full');
  if (mode === 'disable') return false;
  if (mode !== 'verify-full')
    throw new Error(`The engine's URL has sslmode=${mode}; expected verify-full, or disable where nobody can listen`);
  const file = parameters.get('sslrootcert');
  return { rejectUnauthorized: true, ...(file !== null && { ca: readFileSync(file, 'utf8') }) };
}
