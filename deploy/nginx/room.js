// Whether the disk of the gateway's cache has room for an answer. nginx writes an answer that it keeps into a file
// before it passes it on, and cuts the client off when that fails; so gateway.conf asks before.

const fs = require("fs");

// Of the file's head, which holds the key and the answer's headers: rarely more than 2 KB. Each page costs time.
const HEAD = 16 * 1024;
const LARGEST = 4 * 1024 * 1024;

// "" when there is room, else "1". Bytes that are written are the only proof: a quota or a full table of inodes shows
// in no number of free bytes.
function missing(request) {
    const probe = `cache/room.${process.pid}`;
    const size = Math.min(Number(request.variables.upstream_http_content_length || 0) + HEAD, LARGEST);
    try {
        fs.writeFileSync(probe, Buffer.alloc(size));
        return "";
    } catch (error) {
        return "1";
    } finally {
        try {
            fs.unlinkSync(probe);
        } catch (error) {
            // It could not be made.
        }
    }
}

export default { missing };
