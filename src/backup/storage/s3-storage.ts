/**
 * A repository in a bucket of S3, or of a service that speaks as S3 does. The client is an optional dependency and is
 * loaded only here. Its own retries are off: the caller backs off, and reads credentials again before each try.
 *
 * A put is conditional (If-None-Match). A service that ignores the condition would overwrite: `Repository` finds out.
 */
import type { S3Client, S3ServiceException } from '@aws-sdk/client-s3';
import { wallMs } from '../../shared/clock.ts';
import { StorageError, type BackupStorage, type StorageFault, type StoredObject } from './storage.ts';

export interface S3Settings {
  readonly endpoint?: string;
  readonly region?: string;
  readonly path_style?: boolean;
  readonly sse?: 'AES256' | 'aws:kms';
  readonly sse_key_id?: string;
  readonly storage_class?: string;
  readonly access_key_id?: string;
  /** Absent with `access_key_id`: the client looks where the AWS tools look. */
  readonly secretAccessKey?: () => string;
}

export interface S3Place {
  readonly bucket: string;
  readonly prefix: string;
}

type Sdk = typeof import('@aws-sdk/client-s3');

const requestMs = 60_000;
const connectMs = 5_000;

export class S3Storage implements BackupStorage {
  readonly name: string;
  readonly #sdk: Sdk;
  readonly #place: S3Place;
  readonly #settings: S3Settings;
  #client: S3Client | undefined;
  /** By how much the storage's clock is ahead of this machine's, as of its last answer. */
  #skewMs: number | undefined;

  private constructor(sdk: Sdk, place: S3Place, settings: S3Settings) {
    this.#sdk = sdk;
    this.#place = place;
    this.#settings = settings;
    this.name = `s3://${place.bucket}/${place.prefix}`;
  }

  /** @throws StorageError if the client is not installed */
  static async open(place: S3Place, settings: S3Settings): Promise<S3Storage> {
    let sdk: Sdk;
    try {
      sdk = await import('@aws-sdk/client-s3');
    } catch (error) {
      const message =
        'The package @aws-sdk/client-s3 is not installed, which s3:// needs: npm install @aws-sdk/client-s3';
      throw new StorageError('other', message, { cause: error });
    }
    return new S3Storage(sdk, place, settings);
  }

  put(key: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    const { sse, sse_key_id, storage_class } = this.#settings;
    return this.#call(`put ${key}`, async (client) => {
      try {
        await client.send(
          new this.#sdk.PutObjectCommand({
            ...this.#at(key),
            Body: bytes,
            ContentLength: bytes.length,
            IfNoneMatch: '*',
            ...(sse !== undefined && { ServerSideEncryption: sse }),
            ...(sse_key_id !== undefined && { SSEKMSKeyId: sse_key_id }),
            ...(storage_class !== undefined && { StorageClass: storage_class as 'STANDARD' }),
          }),
        );
        return 'created';
      } catch (error) {
        if (statusOf(error) === 412) return 'exists';
        throw error;
      }
    });
  }

  get(key: string): Promise<Buffer | undefined> {
    return this.#call(`get ${key}`, (client) =>
      orUndefined(async () => {
        const { Body, ContentLength } = await client.send(new this.#sdk.GetObjectCommand(this.#at(key)));
        const bytes = Buffer.from((await Body?.transformToByteArray()) ?? []);
        if (ContentLength !== undefined && bytes.length !== ContentLength)
          throw new StorageError('unreachable', `${this.name}: get ${key}: the answer ended too early`);
        return bytes;
      }),
    );
  }

  head(key: string): Promise<StoredObject | undefined> {
    return this.#call(`head ${key}`, (client) =>
      orUndefined(async () => {
        const { ContentLength, LastModified } = await client.send(new this.#sdk.HeadObjectCommand(this.#at(key)));
        return { key, bytes: ContentLength ?? 0, madeAt: LastModified?.getTime() ?? 0 };
      }),
    );
  }

  list(prefix: string): Promise<readonly StoredObject[]> {
    return this.#call(`list ${prefix}`, async (client) => {
      const found: StoredObject[] = [];
      const { Bucket, Key: Prefix } = this.#at(prefix);
      const skip = Prefix.length - prefix.length;
      for (let token: string | undefined; ; ) {
        const page = await client.send(
          new this.#sdk.ListObjectsV2Command({
            Bucket,
            Prefix,
            ...(token !== undefined && { ContinuationToken: token }),
          }),
        );
        for (const { Key = '', Size = 0, LastModified } of page.Contents ?? [])
          found.push({ key: Key.slice(skip), bytes: Size, madeAt: LastModified?.getTime() ?? 0 });
        token = page.NextContinuationToken;
        if (page.IsTruncated !== true || token === undefined) break;
      }
      return found.toSorted((a, b) => (a.key < b.key ? -1 : 1));
    });
  }

  delete(key: string): Promise<void> {
    return this.#call(`delete ${key}`, async (client) => {
      await client.send(new this.#sdk.DeleteObjectCommand(this.#at(key)));
    });
  }

  now(): number | undefined {
    return this.#skewMs === undefined ? undefined : wallMs() + this.#skewMs;
  }

  close(): void {
    this.#client?.destroy();
    this.#client = undefined;
  }

  #at(key: string): { Bucket: string; Key: string } {
    const { bucket, prefix } = this.#place;
    return { Bucket: bucket, Key: prefix === '' ? key : `${prefix}/${key}` };
  }

  async #call<T>(what: string, run: (client: S3Client) => Promise<T>): Promise<T> {
    this.#client ??= this.#connect();
    try {
      return await run(this.#client);
    } catch (error) {
      const fault = faultOf(error);
      // What the client remembers may be why: keys that have expired, a clock that was set.
      if (fault === 'denied' || fault === 'skewed') this.close();
      if (error instanceof StorageError) throw error;
      const { name = 'Error', message = String(error) } = error as Partial<Error>;
      throw new StorageError(fault, `${this.name}: ${what}: ${name}: ${message}`, { cause: error });
    }
  }

  #connect(): S3Client {
    const { endpoint, region, path_style, access_key_id, secretAccessKey } = this.#settings;
    const client = new this.#sdk.S3Client({
      maxAttempts: 1,
      region: region ?? process.env['AWS_REGION'] ?? process.env['AWS_DEFAULT_REGION'] ?? 'us-east-1',
      ...(endpoint !== undefined && { endpoint }),
      ...(path_style !== undefined && { forcePathStyle: path_style }),
      ...(access_key_id !== undefined &&
        secretAccessKey !== undefined && {
          credentials: async () => ({ accessKeyId: access_key_id, secretAccessKey: secretAccessKey() }),
        }),
      systemClockOffset: this.#skewMs ?? 0,
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: { connectionTimeout: connectMs, requestTimeout: requestMs, throwOnRequestTimeout: true },
    });
    client.middlewareStack.add(
      (next) => async (args) => {
        const output = await next(args);
        const { headers } = output.response as { headers?: Record<string, string> };
        const date = Date.parse(headers?.['date'] ?? '');
        if (!Number.isNaN(date)) this.#skewMs = date - wallMs();
        return output;
      },
      { step: 'deserialize', name: 'dateOfStorage', priority: 'low' },
    );
    return client;
  }
}

async function orUndefined<T>(run: () => Promise<T>): Promise<T | undefined> {
  try {
    return await run();
  } catch (error) {
    if (statusOf(error) === 404 && nameOf(error) !== 'NoSuchBucket') return undefined;
    throw error;
  }
}

function statusOf(error: unknown): number | undefined {
  return (error as Partial<S3ServiceException>).$metadata?.httpStatusCode;
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : '';
}

function faultOf(error: unknown): StorageFault {
  if (error instanceof StorageError) return error.fault;
  const status = statusOf(error);
  const name = nameOf(error);
  if (name === 'RequestTimeTooSkewed') return 'skewed';
  if (status === 401 || status === 403 || /Credentials|Token|AccessDenied|Signature/.test(name)) return 'denied';
  if (status === 503 || status === 429 || name === 'SlowDown') return 'slow_down';
  if (status === 507) return 'full';
  return status === undefined || status >= 500 ? 'unreachable' : 'other';
}
