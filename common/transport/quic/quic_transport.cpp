#include "common/transport/quic/quic_transport.hpp"
