/** `backup:` of the configuration, as the backup thread gets it. */
export interface BackupSettings {
  /** Empty: no backups. */
  readonly url: string;
  readonly interval_ms: number;
  readonly copy_hours: number;
  readonly keep_moments_days: number;
  readonly keep_copies_days: number;
  readonly prune: boolean;
  readonly hold_bytes_max: number;
  /** Of copies; 0: no limit. */
  readonly bytes_per_second_max: number;
  readonly recipients: readonly string[];
  readonly s3: BackupS3Settings;
}

/** Empty texts: as the AWS tools do it. */
export interface BackupS3Settings {
  readonly endpoint: string;
  readonly region: string;
  readonly path_style: boolean;
  readonly sse: '' | 'AES256' | 'aws:kms';
  readonly sse_key_id: string;
  readonly storage_class: string;
  readonly access_key_id: string;
  readonly secret_access_key_file: string;
}

const mib = 1024 * 1024;

export const backupDefaults = {
  url: '',
  interval_ms: 1000,
  copy_hours: 24,
  keep_moments_days: 7,
  keep_copies_days: 30,
  prune: true,
  hold_bytes_max: 8192 * mib,
  bytes_per_second_max: 0,
  recipients: [] as string[],
  s3: {
    endpoint: '',
    region: '',
    path_style: false,
    sse: '',
    sse_key_id: '',
    storage_class: '',
    access_key_id: '',
    secret_access_key_file: '',
  },
} as const satisfies BackupSettings;
