/** Payloads: compressed, with a checksum of zstd's own, then encrypted with age if there are recipients. */
import { promisify } from 'node:util';
import { constants, zstdCompressSync, zstdDecompress } from 'node:zlib';
import type { Decrypter, Encrypter } from 'age-encryption';
import { ObjectDamaged } from './backup-object.ts';
import type { PayloadMembers } from './headers.ts';

const level = 3;
/** In other threads: whoever reads many objects does something else meanwhile. The backup thread, which is nice, compresses in its own. */
const decompress = promisify(zstdDecompress);
/** Of the memory that is made before it is known how much there is; an object has no more. */
const chunkBytesMax = 32 * 1024 * 1024;
const sealedChunkBytesMax = 1024 * 1024;

export interface PayloadCodec {
  seal(raw: Buffer): Promise<{ readonly members: PayloadMembers; readonly payload: Buffer }>;
  /** @throws ObjectDamaged, NoIdentity */
  open(key: string, members: PayloadMembers, payload: Buffer): Promise<Buffer>;
  readonly encrypts: boolean;
}

/** What was encrypted cannot be read with the identity at hand. */
export class NoIdentity extends Error {
  override name = 'NoIdentity';
}

export interface PayloadKeys {
  /** Public keys (age1…), to write. */
  readonly recipients?: readonly string[];
  /** Secret keys (AGE-SECRET-KEY-1…), to read. */
  readonly identities?: readonly string[];
}

/** @throws Error with a sentence if a key is none, or age is not installed */
export async function payloadCodec({ recipients = [], identities = [] }: PayloadKeys): Promise<PayloadCodec> {
  const encrypter = recipients.length === 0 ? undefined : await encrypterFor(recipients);
  const decrypter = identities.length === 0 ? undefined : await decrypterFor(identities);
  return {
    encrypts: encrypter !== undefined,
    async seal(raw) {
      const compressed = zstdCompressSync(raw, {
        chunkSize: Math.min(Math.max(raw.length, 16 * 1024), sealedChunkBytesMax),
        params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 },
      });
      const members = { codec: 'zstd', raw: raw.length } as const;
      if (encrypter === undefined) return { members, payload: compressed };
      return { members: { ...members, age: true }, payload: Buffer.from(await encrypter.encrypt(compressed)) };
    },
    async open(key, members, payload) {
      const compressed = members.age === true ? await decrypted(key, payload, decrypter) : payload;
      let raw: Buffer;
      try {
        // One piece: in Node's pieces of 16 KiB it takes several times as long.
        const chunkSize = Math.min(Math.max(members.raw, 64) + 64, chunkBytesMax);
        raw = await decompress(compressed, { maxOutputLength: Math.max(members.raw, 1), chunkSize });
      } catch (error) {
        throw new ObjectDamaged(key, `it cannot be decompressed (${(error as Error).message})`);
      }
      if (raw.length !== members.raw) throw new ObjectDamaged(key, 'its content is not as long as it was');
      return raw;
    },
  };
}

async function decrypted(key: string, payload: Buffer, decrypter: Decrypter | undefined): Promise<Uint8Array> {
  if (decrypter === undefined)
    throw new NoIdentity(`The object ${key} is encrypted; expected the identity that can read it (--identity FILE).`);
  try {
    return await decrypter.decrypt(payload);
  } catch (error) {
    const message = (error as Error).message;
    // Every hash was right: so the object is what was written, and only the identity can be wrong.
    throw new NoIdentity(`The identity does not read the object ${key} (${message}); expected one of its recipients'.`);
  }
}

async function encrypterFor(recipients: readonly string[]): Promise<Encrypter> {
  const age = await loadAge();
  const encrypter = new age.Encrypter();
  for (const recipient of recipients) encrypter.addRecipient(recipient);
  return encrypter;
}

async function decrypterFor(identities: readonly string[]): Promise<Decrypter> {
  const age = await loadAge();
  const decrypter = new age.Decrypter();
  for (const identity of identities) decrypter.addIdentity(identity);
  return decrypter;
}

async function loadAge(): Promise<typeof import('age-encryption')> {
  try {
    return await import('age-encryption');
  } catch (error) {
    throw new Error('The package age-encryption is not installed, which recipients need: npm install age-encryption', {
      cause: error,
    });
  }
}

/** The identities in a file as `age-keygen` writes it. */
export function identitiesIn(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}
