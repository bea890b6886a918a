/** A repository of backups: objects with headers over a storage. */
import {
  NewerFormat,
  ObjectDamaged,
  ObjectMissing,
  openObject,
  repositoryFormat,
  sealObject,
} from '../format/backup-object.ts';
import type { ObjectHeader, OpenedObject, SealedObject } from '../format/backup-object.ts';
import type { PayloadMembers, RepositoryHeader } from '../format/headers.ts';
import { repositoryKey } from '../format/names.ts';
import type { PayloadCodec } from '../format/payload.ts';
import type { BackupStorage } from '../storage/storage.ts';

/** There is no repository at this place. */
export class NoRepository extends Error {
  override name = 'NoRepository';
}

/** Another has made an object of a name that is ours alone. */
export class ObjectTaken extends Error {
  override name = 'ObjectTaken';
  readonly key: string;

  constructor(key: string) {
    super(`The object ${key} is there already, with other content: somebody else writes as this writer.`);
    this.key = key;
  }
}

export interface ReadObject<Header> {
  readonly header: Header;
  readonly raw: Buffer;
  readonly sha256: string;
}

/** What a writer gives; `kind`, `format` and `repository` are added. */
type Given<Header extends ObjectHeader> = Omit<Header, 'format' | 'repository' | keyof PayloadMembers>;

export class Repository {
  readonly storage: BackupStorage;
  /** 32 hex digits. */
  readonly id: string;
  readonly codec: PayloadCodec;
  /** How two that claim at once are told apart: by the storage's conditions, or by lists where it ignores them. */
  fencing: 'put' | 'list' = 'put';
  /** Of all objects that were read. */
  bytesRead = 0;

  constructor(storage: BackupStorage, id: string, codec: PayloadCodec) {
    this.storage = storage;
    this.id = id;
    this.codec = codec;
  }

  /** @throws NoRepository, ObjectDamaged, NewerFormat, StorageError */
  static async open(storage: BackupStorage, codec: PayloadCodec): Promise<Repository> {
    const bytes = await storage.get(repositoryKey);
    if (bytes === undefined) throw new NoRepository(`There is no repository of backups in ${storage.name}.`);
    const { header } = openObject<RepositoryHeader>(repositoryKey, bytes, 'repository');
    return new Repository(storage, header.id, codec);
  }

  /** Opens it, or makes a new one. Of several that do so at once, all get the same. */
  static async openOrCreate(storage: BackupStorage, codec: PayloadCodec, newId: string): Promise<Repository> {
    const header: RepositoryHeader = { kind: 'repository', format: repositoryFormat, id: newId };
    if ((await storage.head(repositoryKey)) === undefined) await storage.put(repositoryKey, sealObject(header).bytes);
    return Repository.open(storage, codec);
  }

  /**
   * Finds out whether the storage refuses to make an object twice, and sets `fencing`. Makes an object again that is there,
   * with the same bytes: so it needs no right to delete.
   * @throws StorageError
   */
  async probe(): Promise<void> {
    const bytes = await this.storage.get(repositoryKey);
    const refuses = bytes === undefined || (await this.storage.put(repositoryKey, bytes)) === 'exists';
    this.fencing = refuses ? 'put' : 'list';
  }

  /** Seals an object with a payload, to be stored with `create`, as often as that takes. */
  async seal(given: ObjectHeaderOf<ObjectHeader & PayloadMembers>, raw: Buffer): Promise<SealedObject> {
    const { members, payload } = await this.codec.seal(raw);
    return sealObject(this.#header({ ...given, ...members }), payload);
  }

  /** Seals an object that is only a header. */
  sealHeader(given: ObjectHeaderOf<ObjectHeader>): SealedObject {
    return sealObject(this.#header(given));
  }

  /**
   * Stores an object that is nobody else's to make. Where it is there already, an earlier try has made it, whose answer
   * was lost.
   * @throws ObjectTaken if it is there with other content, StorageError
   */
  async create(key: string, { bytes }: SealedObject): Promise<void> {
    if ((await this.storage.put(key, bytes)) === 'created') return;
    const stored = await this.storage.get(key);
    if (stored === undefined || !stored.equals(bytes)) throw new ObjectTaken(key);
  }

  /** @throws ObjectMissing, ObjectDamaged, NewerFormat, StorageError */
  async readHeader<Header extends ObjectHeader>(key: string, kind: Header['kind']): Promise<OpenedObject<Header>> {
    const bytes = await this.storage.get(key);
    if (bytes === undefined) throw new ObjectMissing(key);
    this.bytesRead += bytes.length;
    const opened = openObject<Header>(key, bytes, kind);
    if (opened.header['repository'] !== this.id)
      throw new ObjectDamaged(key, `it belongs to the repository ${String(opened.header['repository'])}`);
    return opened;
  }

  /** @throws as `readHeader`, and NoIdentity */
  async read<Header extends ObjectHeader & PayloadMembers>(
    key: string,
    kind: Header['kind'],
  ): Promise<ReadObject<Header>> {
    const { header, payload, sha256 } = await this.readHeader<Header>(key, kind);
    return { header, sha256, raw: await this.codec.open(key, header, payload) };
  }

  #header(given: ObjectHeaderOf<ObjectHeader>): ObjectHeader {
    const { kind, ...rest } = given;
    return { kind, format: repositoryFormat, repository: this.id, ...rest };
  }
}

type ObjectHeaderOf<Header extends ObjectHeader> = Given<Header> & { readonly kind: string };

/** Whether it says that the repository is not what it was, as opposed to that it cannot be reached. */
export function isDamage(error: unknown): error is ObjectDamaged | ObjectMissing {
  return error instanceof ObjectDamaged || error instanceof ObjectMissing;
}

export function isNewer(error: unknown): error is NewerFormat {
  return error instanceof NewerFormat;
}
