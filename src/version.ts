/** The version this build reports in `--version`, in handshakes' user-visible text and at the tracker. Checked against package.json by a test. */
export const VERSION = '0.1.0';
