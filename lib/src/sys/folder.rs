//! Reading folders and links into buffers that are kept: file tables of ten thousand processes are read this way.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

/// Reads a part of the entries of a folder (getdents64(2)) into a buffer, in place of what is in it. False at the end.
pub fn read_entries(folder: BorrowedFd<'_>, buffer: &mut Vec<u8>) -> Result<bool, Errno> {
    buffer.clear();
    let room: &mut [MaybeUninit<u8>] = buffer.spare_capacity_mut();
    // SAFETY: the kernel writes at most `room.len()` bytes into memory that we hold exclusively.
    let read = Errno::result(unsafe {
        libc::syscall(libc::SYS_getdents64, folder.as_raw_fd(), room.as_mut_ptr(), room.len())
    })?;
    let read = usize::try_from(read).map_err(|_| Errno::EOVERFLOW)?;
    // SAFETY: the kernel has initialised so many bytes from the start of the buffer, within its capacity.
    unsafe { buffer.set_len(read) };
    Ok(read > 0)
}

/// The names of the entries that [`read_entries`] has read, without those of the folder itself and its parent.
pub fn entry_names(buffer: &[u8]) -> impl Iterator<Item = &CStr> {
    /// Where the length of an entry stands, and its name: `struct linux_dirent64`.
    const LENGTH: usize = 16;
    const NAME: usize = 19;
    let mut rest = buffer;
    let all = std::iter::from_fn(move || {
        let length = rest.get(LENGTH..LENGTH + 2)?.try_into().ok().map(u16::from_ne_bytes)?;
        let (entry, after) = rest.split_at_checked(length.into())?;
        rest = after;
        CStr::from_bytes_until_nul(entry.get(NAME..)?).ok()
    });
    all.filter(|name| *name != c"." && *name != c"..")
}

/// Reads where a link leads (readlinkat(2)) into a buffer, in place of what is in it, as far as it has room.
pub fn read_link(folder: BorrowedFd<'_>, name: &CStr, buffer: &mut Vec<u8>) -> Result<(), Errno> {
    buffer.clear();
    let room: &mut [MaybeUninit<u8>] = buffer.spare_capacity_mut();
    // SAFETY: the name ends with NUL, and the kernel writes at most `room.len()` bytes into memory that we hold
    // exclusively.
    let read = Errno::result(unsafe {
        libc::readlinkat(folder.as_raw_fd(), name.as_ptr(), room.as_mut_ptr().cast(), room.len())
    })?;
    // SAFETY: the kernel has initialised so many bytes from the start of the buffer, within its capacity.
    unsafe { buffer.set_len(read.cast_unsigned()) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;

    #[test]
    fn a_folder_is_read_in_parts_and_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut names: Vec<String> = (0..200).map(|number| format!("entry-{number}")).collect();
        for name in &names {
            std::os::unix::fs::symlink("/a/b", folder.path().join(name)).expect("a link");
        }
        let file = std::fs::File::open(folder.path()).expect("a folder");
        let (mut buffer, mut found) = (Vec::with_capacity(512), Vec::new());
        while read_entries(file.as_fd(), &mut buffer).expect("readable") {
            found.extend(entry_names(&buffer).map(|name| name.to_string_lossy().into_owned()));
        }
        found.sort();
        names.sort();
        assert_eq!(found, names);
        let mut link = Vec::with_capacity(3);
        read_link(file.as_fd(), c"entry-7", &mut link).expect("a link");
        assert_eq!(link, b"/a/", "as far as there is room");
        assert_eq!(read_link(file.as_fd(), c"none", &mut link), Err(Errno::ENOENT));
    }
}
