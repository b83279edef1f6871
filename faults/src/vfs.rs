//! What stands between SQLite and the system's files: SQLite's own way to them, with a record of
//! what goes by.
//!
//! This is the only unsafe code of the workspace, and no part of the product. SQLite asks for
//! functions over raw pointers, because it is written in C; there is no other way to see what it
//! writes and syncs, in order and file by file. Locks and shared memory are passed through
//! untouched, so the database works as it does without.
#![expect(unsafe_code, reason = "SQLite asks for functions over raw pointers")]

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};

use rusqlite::ffi::{
    SQLITE_CANTOPEN, SQLITE_FULL, SQLITE_IOERR_DELETE, SQLITE_IOERR_FSYNC, SQLITE_IOERR_READ,
    SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_WRITE, SQLITE_OK, SQLITE_OPEN_CREATE,
    SQLITE_OPEN_MAIN_JOURNAL, SQLITE_OPEN_WAL, sqlite3_file, sqlite3_filename, sqlite3_int64,
    sqlite3_io_methods, sqlite3_vfs, sqlite3_vfs_find, sqlite3_vfs_register,
};

use crate::{Call, Failure, Folder, Name, Step};

/// A file as SQLite holds it. Behind it, in the same piece of memory, lies that of the system.
#[repr(C)]
struct File {
    base: sqlite3_file,
    /// Null where the file is in no folder that is watched. Made by `open` and freed by `close`.
    watched: *mut WatchedFile,
}

struct WatchedFile {
    folder: Arc<Folder>,
    name: Name,
    /// The first sync of a journal or a log syncs its folder as well: see `UNIXFILE_DIRSYNC` in
    /// `os_unix.c`.
    syncs_folder: AtomicBool,
}

/// Makes every connection of this process go through here, from the first call on.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: the system's own is there as long as the process, as is ours, which is leaked.
        unsafe {
            let system = sqlite3_vfs_find(std::ptr::null());
            assert!(!system.is_null(), "SQLite has a way to the system's files");
            let size = size_of::<File>() + usize::try_from((*system).szOsFile).expect("a size");
            let ours = sqlite3_vfs {
                szOsFile: c_int::try_from(size).expect("it is small"),
                pNext: null_mut(),
                zName: c"watched".as_ptr(),
                // Not the system's: this is how we find it again.
                pAppData: system.cast(),
                xOpen: Some(open),
                xDelete: Some(delete),
                xAccess: Some(access),
                xFullPathname: Some(full_pathname),
                // The others do not look at which one they are called for.
                ..*system
            };
            let registered = sqlite3_vfs_register(Box::leak(Box::new(ours)), 1);
            assert_eq!(registered, SQLITE_OK);
        }
    });
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 3,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: Some(fetch),
    xUnfetch: Some(unfetch),
};

/// Calls the system's function of the same name.
///
/// SAFETY, wherever it is used: SQLite calls a method only of a file that `open` opened, with
/// arguments that are good for that method; they are handed on as they came, and the file beneath
/// is the one that the system opened in the memory behind ours.
macro_rules! beneath {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        // SAFETY: see above.
        unsafe {
            let system: *mut sqlite3_file = $file.cast::<File>().add(1).cast();
            let method = (*(*system).pMethods).$method.expect("the system's files have it");
            method(system $(, $argument)*)
        }
    }};
}

/// Methods that are handed on.
macro_rules! handed_on {
    ($($name:ident = $method:ident($($argument:ident: $kind:ty),*) $(-> $result:ty)?;)*) => {$(
        unsafe extern "C" fn $name(file: *mut sqlite3_file $(, $argument: $kind)*) $(-> $result)? {
            beneath!(file, $method $(, $argument)*)
        }
    )*};
}

handed_on! {
    file_size = xFileSize(size: *mut sqlite3_int64) -> c_int;
    lock = xLock(level: c_int) -> c_int;
    unlock = xUnlock(level: c_int) -> c_int;
    check_reserved_lock = xCheckReservedLock(is_locked: *mut c_int) -> c_int;
    file_control = xFileControl(what: c_int, argument: *mut c_void) -> c_int;
    sector_size = xSectorSize() -> c_int;
    device_characteristics = xDeviceCharacteristics() -> c_int;
    shm_lock = xShmLock(offset: c_int, count: c_int, flags: c_int) -> c_int;
    shm_barrier = xShmBarrier();
    shm_unmap = xShmUnmap(delete: c_int) -> c_int;
    fetch = xFetch(offset: sqlite3_int64, count: c_int, at: *mut *mut c_void) -> c_int;
    unfetch = xUnfetch(offset: sqlite3_int64, at: *mut c_void) -> c_int;
}

/// The system's own way to its files.
unsafe fn system(vfs: *mut sqlite3_vfs) -> *mut sqlite3_vfs {
    // SAFETY: SQLite calls with the one that `install` registered, which has it there.
    unsafe { (*vfs).pAppData.cast() }
}

/// Which folder and name this is, if it is watched.
unsafe fn watched_name(name: *const c_char) -> Option<(Arc<Folder>, Name)> {
    if name.is_null() {
        return None;
    }
    // SAFETY: where SQLite names a file, the name ends with a zero and is good for this call.
    let bytes = unsafe { CStr::from_ptr(name) }.to_bytes();
    Folder::of(Path::new(OsStr::from_bytes(bytes)))
}

unsafe fn watched<'a>(file: *mut sqlite3_file) -> Option<&'a WatchedFile> {
    // SAFETY: the file is ours, and what `open` put there lives until `close`, which SQLite calls
    // last.
    unsafe { (*file.cast::<File>()).watched.as_ref() }
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives memory of the size that we asked for, to which nobody else has access.
    // No methods means that nothing is open and nothing is to be closed.
    let (ours, beneath) = unsafe {
        let ours = file.cast::<File>();
        (*ours).base.pMethods = std::ptr::null();
        (*ours).watched = null_mut();
        (ours, ours.add(1).cast::<sqlite3_file>())
    };
    let open = || {
        // SAFETY: everything is handed on as it came, with the memory that is the system's.
        unsafe {
            let system = system(vfs);
            let open = (*system).xOpen.expect("the system opens files");
            open(system, name, beneath, flags, flags_out)
        }
    };
    // SAFETY: the name is SQLite's.
    let Some((folder, short)) = (unsafe { watched_name(name) }) else {
        let opened = open();
        if opened == SQLITE_OK {
            // SAFETY: as above. The methods live as long as the process.
            unsafe { (*ours).base.pMethods = &raw const METHODS };
        }
        return opened;
    };
    let opened = folder.take(Call::Open, |failure, steps| {
        if failure.is_some() {
            return SQLITE_CANTOPEN;
        }
        // SAFETY: the name is not null, or nobody would watch it.
        let path = unsafe { CStr::from_ptr(name) }.to_bytes();
        let was_there = Path::new(OsStr::from_bytes(path)).exists();
        let opened = open();
        if opened == SQLITE_OK && !was_there {
            steps.push(Step::Created(short.clone()));
        }
        opened
    });
    if opened == SQLITE_OK {
        let creates = flags & SQLITE_OPEN_CREATE != 0;
        let is_log = flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL) != 0;
        let syncs_folder = AtomicBool::new(creates && is_log);
        let watched = Box::new(WatchedFile { folder, name: short, syncs_folder });
        // SAFETY: as above.
        unsafe {
            (*ours).watched = Box::into_raw(watched);
            (*ours).base.pMethods = &raw const METHODS;
        }
    }
    opened
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    let closed = beneath!(file, xClose);
    // SAFETY: `open` made it of a box, and nothing is called after this.
    unsafe {
        let ours = file.cast::<File>();
        if !(*ours).watched.is_null() {
            drop(Box::from_raw((*ours).watched));
            (*ours).watched = null_mut();
        }
    }
    closed
}

unsafe extern "C" fn read(
    file: *mut sqlite3_file,
    bytes: *mut c_void,
    count: c_int,
    offset: sqlite3_int64,
) -> c_int {
    // SAFETY: the file is open.
    let Some(watched) = (unsafe { watched(file) }) else {
        return beneath!(file, xRead, bytes, count, offset);
    };
    let read = watched.folder.take(Call::Read, |failure, _| match failure {
        Some(_) => SQLITE_IOERR_READ,
        None => SQLITE_OK,
    });
    if read == SQLITE_OK { beneath!(file, xRead, bytes, count, offset) } else { read }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    bytes: *const c_void,
    count: c_int,
    offset: sqlite3_int64,
) -> c_int {
    // SAFETY: the file is open.
    let Some(watched) = (unsafe { watched(file) }) else {
        return beneath!(file, xWrite, bytes, count, offset);
    };
    watched.folder.take(Call::Write, |failure, steps| {
        let (count, outcome) = match failure {
            None => (count, SQLITE_OK),
            Some(Failure::Full) => (count / 2, SQLITE_FULL),
            Some(Failure::Broken) => (0, SQLITE_IOERR_WRITE),
        };
        if count > 0 {
            let written = beneath!(file, xWrite, bytes, count, offset);
            if written != SQLITE_OK {
                return written;
            }
            let count = usize::try_from(count).expect("it is more than nothing");
            // SAFETY: SQLite gives this many bytes to be written, and no more of them is read.
            let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), count) };
            let offset = u64::try_from(offset).expect("nothing is written before the beginning");
            steps.push(Step::Written(watched.name.clone(), offset, bytes.into()));
        }
        outcome
    })
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    // SAFETY: the file is open.
    let Some(watched) = (unsafe { watched(file) }) else {
        return beneath!(file, xTruncate, size);
    };
    watched.folder.take(Call::Truncate, |failure, steps| {
        if failure.is_some() {
            return SQLITE_IOERR_TRUNCATE;
        }
        let truncated = beneath!(file, xTruncate, size);
        if truncated == SQLITE_OK {
            let size = u64::try_from(size).expect("a size is not negative");
            steps.push(Step::Truncated(watched.name.clone(), size));
        }
        truncated
    })
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: the file is open.
    let Some(watched) = (unsafe { watched(file) }) else {
        return beneath!(file, xSync, flags);
    };
    watched.folder.take(Call::Sync, |failure, steps| {
        if failure.is_some() {
            steps.push(Step::SyncFailed(watched.name.clone()));
            return SQLITE_IOERR_FSYNC;
        }
        steps.push(Step::Synced(watched.name.clone()));
        if watched.syncs_folder.swap(false, Ordering::Relaxed) {
            steps.push(Step::FolderSynced);
        }
        SQLITE_OK
    })
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    page: c_int,
    size: c_int,
    extend: c_int,
    at: *mut *mut c_void,
) -> c_int {
    // SAFETY: the file is open.
    let watched = unsafe { watched(file) };
    if let Some(watched) = watched.filter(|_| extend != 0) {
        let shared = watched.folder.take(Call::Share, |failure, _| match failure {
            Some(_) => SQLITE_IOERR_SHMSIZE,
            None => SQLITE_OK,
        });
        if shared != SQLITE_OK {
            return shared;
        }
    }
    beneath!(file, xShmMap, page, size, extend, at)
}

unsafe extern "C" fn delete(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    sync_folder: c_int,
) -> c_int {
    let delete = |sync_folder| {
        // SAFETY: everything is handed on as it came.
        unsafe {
            let system = system(vfs);
            let delete = (*system).xDelete.expect("the system deletes files");
            delete(system, name, sync_folder)
        }
    };
    // SAFETY: the name is SQLite's.
    let Some((folder, short)) = (unsafe { watched_name(name) }) else {
        return delete(sync_folder);
    };
    folder.take(Call::Delete, |failure, steps| {
        if failure.is_some() {
            return SQLITE_IOERR_DELETE;
        }
        let deleted = delete(0);
        if deleted == SQLITE_OK {
            steps.push(Step::Deleted(short));
            if sync_folder != 0 {
                steps.push(Step::FolderSynced);
            }
        }
        deleted
    })
}

unsafe extern "C" fn access(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    result: *mut c_int,
) -> c_int {
    // SAFETY: everything is handed on as it came.
    unsafe {
        let system = system(vfs);
        let access = (*system).xAccess.expect("the system knows its files");
        access(system, name, flags, result)
    }
}

unsafe extern "C" fn full_pathname(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    count: c_int,
    full: *mut c_char,
) -> c_int {
    // SAFETY: everything is handed on as it came.
    unsafe {
        let system = system(vfs);
        let full_pathname = (*system).xFullPathname.expect("the system knows its paths");
        full_pathname(system, name, count, full)
    }
}
