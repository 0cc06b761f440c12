// The tests that run in Node alone, each with its reason. A runner of the browser names every one of them as skipped, and fails on a name that
// no test has.

/** Whole files. */
export const NODE_ONLY_FILES = {
  'docs.test.js': 'runs npm pack and npm install; its page runs in Chromium in tests/dashboard/own_page.rs',
  'package.test.js': 'reads the files of the package on the disk',
  'process.test.js': 'watches processes of Node end',
};

/** Single tests of files that run in both, by file and name. */
export const NODE_ONLY_TESTS = {};
