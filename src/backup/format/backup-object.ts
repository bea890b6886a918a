/**
 * An object of a repository: one line of JSON, which `head -1` shows, then the payload.
 *
 *   {"kind":"tail","format":1,…,"raw":5120,"sha256":"…"}⏎ payload
 *
 * `sha256` is the last member. It covers the line without that member, the line feed and the payload, so any flip of a
 * bit anywhere in the object is found.
 */
import { createHash } from 'node:crypto';
import { NewerData } from '../../shared/newer-data.ts';

export const repositoryFormat = 1;

export interface ObjectHeader {
  readonly kind: string;
  readonly format: number;
  readonly [member: string]: unknown;
}

export interface SealedObject {
  readonly bytes: Buffer;
  readonly sha256: string;
}

export interface OpenedObject<Header> {
  readonly header: Header;
  readonly payload: Buffer;
  readonly sha256: string;
}

/** An object is not what it was when it was made. */
export class ObjectDamaged extends Error {
  override name = 'ObjectDamaged';
  readonly key: string;

  constructor(key: string, what: string) {
    super(`The object ${key} is damaged: ${what}.`);
    this.key = key;
  }
}

export class ObjectMissing extends Error {
  override name = 'ObjectMissing';
  readonly key: string;

  constructor(key: string) {
    super(`The object ${key} is missing.`);
    this.key = key;
  }
}

/** A newer version has written the object; it is whole. */
export class NewerFormat extends NewerData {
  override name = 'NewerFormat';

  constructor(key: string, format: unknown) {
    super(
      `The object ${key} has format ${String(format)}; this version reads up to ${repositoryFormat}. ` +
        'Nothing was changed. Use the version that wrote it.',
    );
  }
}

const hashPattern = /^,"sha256":"([0-9a-f]{64})"\}$/;
const hashBytes = ',"sha256":""}'.length + 64;
const lineBytesMax = 4 * 1024 * 1024;

export function sealObject(header: ObjectHeader, payload: Uint8Array = Buffer.alloc(0)): SealedObject {
  const line = JSON.stringify(header);
  const sha256 = hashOf(line, payload);
  const text = `${line.slice(0, -1)},"sha256":"${sha256}"}\n`;
  return { bytes: Buffer.concat([Buffer.from(text), payload]), sha256 };
}

/** @throws ObjectDamaged, NewerFormat */
export function openObject<Header extends ObjectHeader>(
  key: string,
  bytes: Buffer,
  kind: Header['kind'],
): OpenedObject<Header> {
  const end = bytes.subarray(0, lineBytesMax).indexOf(0x0a);
  if (end < hashBytes) throw new ObjectDamaged(key, 'it has no first line');
  const text = bytes.toString('latin1', 0, end);
  const sha256 = hashPattern.exec(text.slice(-hashBytes))?.[1];
  const payload = bytes.subarray(end + 1);
  const line = Buffer.concat([bytes.subarray(0, end - hashBytes), Buffer.from('}')]);
  if (sha256 === undefined || hashOf(line, payload) !== sha256) throw new ObjectDamaged(key, 'its hash does not match');
  const header = JSON.parse(line.toString('utf8')) as Header;
  if (header.format !== repositoryFormat) throw new NewerFormat(key, header.format);
  if (header.kind !== kind)
    throw new ObjectDamaged(key, `expected an object of the kind ${kind}, got ${JSON.stringify(header.kind)}`);
  return { header, payload, sha256 };
}

function hashOf(line: string | Uint8Array, payload: Uint8Array): string {
  return createHash('sha256').update(line).update('\n').update(payload).digest('hex');
}
